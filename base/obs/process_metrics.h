#pragma once

#include <string>

namespace tidegate {

/// The standard process_* metrics (CPU seconds, resident bytes, open file descriptors, threads, start time) of this
/// process in the text exposition format, read from /proc at the moment of the call.
std::string render_process_metrics();

}  // namespace tidegate
