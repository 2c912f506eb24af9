#include "base/net/endpoint.h"

#include <boost/asio/ip/address.hpp>
#include <charconv>

namespace tidegate {

namespace ip = boost::asio::ip;

Result<ip::tcp::endpoint> parse_endpoint(std::string_view text) {
  const auto refuse = [text](std::string_view why) {
    return fail(Code::kInvalidArgument, "bad_address",
                "'" + std::string(text.substr(0, 80)) + "' " + std::string(why) +
                    "; write it as 127.0.0.1:8080, [::1]:8080 or :8080");
  };
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return refuse("has no port");
  const std::string_view digits = text.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size()) return refuse("has no port in 0..65535");
  std::string_view host = text.substr(0, colon);
  if (host.empty()) return ip::tcp::endpoint(ip::tcp::v4(), port);
  const bool bracketed = host.front() == '[' && host.back() == ']' && host.size() > 2;
  if (bracketed) host = host.substr(1, host.size() - 2);
  boost::system::error_code bad;
  const auto address = ip::make_address(std::string(host), bad);
  if (bad || address.is_v6() != bracketed) return refuse("is not an IP address and a port");
  return ip::tcp::endpoint(address, port);
}

std::string format_endpoint(const ip::tcp::endpoint& endpoint) {
  const std::string host = endpoint.address().to_string();
  return (endpoint.address().is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(endpoint.port());
}

}  // namespace tidegate
