#include "model_wrap.h"

#include "arguments.h"
#include "context_wrap.h"
#include "directions_wrap.h"
#include "errors.h"
#include "instance.h"
#include "intervention_wrap.h"
#include "model/tokenizer.h"
#include "sites.h"
#include "task.h"

namespace llama_steer {

const napi_type_tag model_wrap::type_tag = {0x6c6c616d61737465, 0x65722e6d6f64656c};

Napi::Function model_wrap::define(Napi::Env env) {
    return DefineClass(env, "NativeModel",
                       {
                           InstanceMethod<&model_wrap::info>("info"),
                           InstanceMethod<&model_wrap::metadata>("metadata"),
                           InstanceMethod<&model_wrap::sites>("sites"),
                           InstanceMethod<&model_wrap::tokenize>("tokenize"),
                           InstanceMethod<&model_wrap::token_bytes>("tokenBytes"),
                           InstanceMethod<&model_wrap::is_end_of_generation>("isEndOfGeneration"),
                           InstanceMethod<&model_wrap::create_directions>("createDirections"),
                           InstanceMethod<&model_wrap::create_intervention>("createIntervention"),
                           InstanceMethod<&model_wrap::create_context>("createContext"),
                           InstanceMethod<&model_wrap::dispose>("dispose"),
                       });
}

Napi::Value model_wrap::load(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        const std::string path = string_argument(info[0], "path");
        const Napi::Object options = object_argument(info[1], "options");
        model_options settings;
        settings.gpu_layers = optional_property(
            options, "gpuLayers", settings.gpu_layers,
            [](const Napi::Value & value) { return integer_argument(value, "gpuLayers", -1, 1 << 20); });
        check_progress(info[2]);

        instance & self = instance::of(env);
        const dispatcher::ticket id = self.events.begin(env, {info[2]});
        auto cancelled = std::make_shared<std::atomic<bool>>(false);
        settings.progress = [&self, id, cancelled](float fraction) {
            report_progress(self, id, static_cast<double>(fraction));
            return !cancelled->load();
        };
        self.run_in_background(id, cancelled, [path, settings]() -> instance::finisher {
            auto loaded = std::make_shared<std::shared_ptr<const model>>(model::load(path, settings));
            return [loaded](Napi::Env current) -> Napi::Value {
                return instance::of(current).model_class.New(
                    {Napi::External<std::shared_ptr<const model>>::New(current, loaded.get())});
            };
        });
        return make_task(env, id, [cancelled] { cancelled->store(true); });
    });
}

model_wrap::model_wrap(const Napi::CallbackInfo & info) : ObjectWrap(info) {
    if (info.Length() != 1 || !info[0].IsExternal()) {
        throw Napi::TypeError::New(info.Env(), "models are made by loadModel");
    }
    model_ = *info[0].As<Napi::External<std::shared_ptr<const model>>>().Data();
    info.This().As<Napi::Object>().TypeTag(&type_tag);
    Napi::MemoryManagement::AdjustExternalMemory(info.Env(), static_cast<int64_t>(model_->info().bytes));
}

void model_wrap::Finalize(Napi::Env env) { release(env); }

void model_wrap::release(Napi::Env env) {
    if (model_) {
        Napi::MemoryManagement::AdjustExternalMemory(env, -static_cast<int64_t>(model_->info().bytes));
        model_.reset();
    }
}

const std::shared_ptr<const model> & model_wrap::get() const {
    if (!model_) {
        throw error(error_code::DISPOSED, "the model was disposed");
    }
    return model_;
}

Napi::Value model_wrap::info(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const model_info & source = get()->info();
        const llama_vocab * vocabulary = get()->vocabulary();
        Napi::Object result = Napi::Object::New(info.Env());
        result.Set("architecture", source.architecture);
        result.Set("description", source.description);
        result.Set("layers", source.n_layers);
        result.Set("hiddenSize", source.hidden_size);
        result.Set("vocabularySize", source.vocabulary_size);
        result.Set("heads", source.n_heads);
        result.Set("trainingContext", source.training_context);
        result.Set("parameters", static_cast<double>(source.n_parameters));
        result.Set("bytes", static_cast<double>(source.bytes));
        result.Set("recurrent", source.recurrent);
        result.Set("chatTemplate", get()->chat_template());
        result.Set("beginToken", llama_vocab_bos(vocabulary));
        result.Set("endToken", llama_vocab_eos(vocabulary));
        result.Set("addsBeginToken", llama_vocab_get_add_bos(vocabulary));
        return result;
    });
}

Napi::Value model_wrap::metadata(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        return Napi::String::New(info.Env(), get()->metadata(string_argument(info[0], "key")));
    });
}

Napi::Value model_wrap::sites(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        instance & self = instance::of(env);
        const std::shared_ptr<const model> source = get();
        const dispatcher::ticket id = self.events.begin(env, {info.This()});
        self.run_in_background(id, std::make_shared<std::atomic<bool>>(false), [source]() -> instance::finisher {
            source->sites();
            return [source](Napi::Env current) { return sites_object(current, source->sites()); };
        });
        return self.events.promise(id);
    });
}

Napi::Value model_wrap::tokenize(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        tokenize_options options;
        const std::string text = string_argument(info[0], "text");
        options.add_special = boolean_argument(info[1], "addSpecial");
        options.parse_special = boolean_argument(info[2], "parseSpecial");
        const std::vector<int32_t> tokens = llama_steer::tokenize(*get(), text, options);
        Napi::Int32Array result = Napi::Int32Array::New(info.Env(), tokens.size());
        std::copy(tokens.begin(), tokens.end(), result.Data());
        return result;
    });
}

Napi::Value model_wrap::token_bytes(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const auto token = static_cast<int32_t>(integer_argument(info[0], "token", INT32_MIN, INT32_MAX));
        const std::string bytes = llama_steer::token_bytes(*get(), token, boolean_argument(info[1], "special"));
        Napi::Uint8Array result = Napi::Uint8Array::New(info.Env(), bytes.size());
        std::copy(bytes.begin(), bytes.end(), result.Data());
        return result;
    });
}

Napi::Value model_wrap::is_end_of_generation(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const int64_t token = integer_argument(info[0], "token", 0, get()->info().vocabulary_size - 1);
        return Napi::Boolean::New(info.Env(), llama_vocab_is_eog(get()->vocabulary(), static_cast<llama_token>(token)));
    });
}

Napi::Value model_wrap::create_directions(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] { return directions_wrap::create(info, *get()); });
}

Napi::Value model_wrap::create_intervention(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] { return intervention_wrap::create(info, *get()); });
}

Napi::Value model_wrap::create_context(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] { return context_wrap::create(info, get()); });
}

Napi::Value model_wrap::dispose(const Napi::CallbackInfo & info) {
    release(info.Env());
    return info.Env().Undefined();
}

}  // namespace llama_steer
