#include "steering/steering_list.h"

namespace llama_steer {

bool scope_includes(token_scope scope, token_phase phase) {
    switch (scope) {
        case token_scope::all:
            return true;
        case token_scope::prompt:
            return phase != token_phase::generated;
        case token_scope::last_prompt:
            return phase == token_phase::last_prompt;
        case token_scope::generated:
            return phase == token_phase::generated;
        case token_scope::last_prompt_and_generated:
            return phase != token_phase::prompt;
    }
    return false;
}

}  // namespace llama_steer
