#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/core/result.h"

namespace tidegate::rpc {

/// "host:port", "[v6]:port" or "unix:/absolute/path" as gRPC wants it for connecting. The port is 1 to 65535.
/// Fails: invalid_argument/bad_address.
Result<std::string> connect_target(const std::string& address);
/// The same for listening, where port 0 asks for any free one.
Result<std::string> listen_target(const std::string& address);

inline constexpr std::size_t kAddressesMax = 8;  ///< in one list

/// "a:1,b:2": one to kAddressesMax addresses to connect to, without blanks, each once. Fails: invalid_argument/bad_address.
Result<std::vector<std::string>> split_addresses(const std::string& list);

}  // namespace tidegate::rpc
