#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <string>
#include <string_view>

#include "base/core/result.h"

namespace tidegate {

/// "127.0.0.1:8080", "[::1]:0", ":8080" (all IPv4 interfaces). Names are not resolved: a listener is bound to an
/// address the operator wrote. Port 0 lets the system choose; ask the server for the bound one.
/// Fails: invalid_argument/bad_address.
Result<boost::asio::ip::tcp::endpoint> parse_endpoint(std::string_view text);

/// The form parse_endpoint reads.
std::string format_endpoint(const boost::asio::ip::tcp::endpoint& endpoint);

}  // namespace tidegate
