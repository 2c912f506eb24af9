#pragma once

#include <string>

#include "base/core/result.h"

namespace tidegate::rpc {

/// "host:port", "[v6]:port" or "unix:/absolute/path" as gRPC wants it for connecting. The port is 1 to 65535.
/// Fails: invalid_argument/bad_address.
Result<std::string> connect_target(const std::string& address);
/// The same for listening, where port 0 asks for any free one.
Result<std::string> listen_target(const std::string& address);

}  // namespace tidegate::rpc
