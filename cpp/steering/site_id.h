#pragma once

#include <cstdint>
#include <string>

namespace llama_steer {

/// A number for the name of a site, the same for the same name all over the process, so that rows are matched without
/// comparing text. Any thread.
int32_t site_id(const std::string & name);

/// The name behind it. Valid as long as the process.
const std::string & name_of_site(int32_t id);

}  // namespace llama_steer
