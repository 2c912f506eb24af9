#include "base/rpc/address.h"

#include <algorithm>
#include <charconv>

namespace tidegate::rpc {

namespace {

constexpr std::size_t kUnixPathMax = 107;  // sockaddr_un, less the terminating zero

Result<std::string> check(const std::string& address, int least_port) {
  const auto bad = [&](const std::string& why) {
    return fail(Code::kInvalidArgument, "bad_address",
                "'" + address + "' " + why + "; write host:port, [v6]:port or unix:/path", "address");
  };
  if (address.starts_with("unix:")) {
    const std::string path = address.substr(5);
    if (!path.starts_with('/')) return bad("names no absolute path");
    if (path.size() > kUnixPathMax) return bad("is longer than a unix socket's 107 bytes");
    return address;
  }
  const auto colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0) return bad("has no host and port");
  const std::string host = address.substr(0, colon);
  if (host.find(':') != std::string::npos && !(host.starts_with('[') && host.ends_with(']'))) {
    return bad("holds an IPv6 address without brackets");
  }
  int port = -1;
  const char* end = address.data() + address.size();
  const auto [stop, error] = std::from_chars(address.data() + colon + 1, end, port);
  if (error != std::errc() || stop != end || port < least_port || port > 65535) return bad("has no valid port");
  return address;
}

}  // namespace

Result<std::string> connect_target(const std::string& address) { return check(address, 1); }
Result<std::string> listen_target(const std::string& address) { return check(address, 0); }

Result<std::vector<std::string>> split_addresses(const std::string& list) {
  std::vector<std::string> addresses;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    TG_ASSIGN(std::string address, connect_target(list.substr(begin, end - begin)));
    if (std::find(addresses.begin(), addresses.end(), address) != addresses.end()) {
      return fail(Code::kInvalidArgument, "bad_address", "'" + address + "' is there twice in '" + list + "'", "address");
    }
    addresses.push_back(std::move(address));
    begin = end + 1;
  }
  if (addresses.size() <= kAddressesMax) return addresses;
  return fail(Code::kInvalidArgument, "bad_address",
              "'" + list + "' has " + std::to_string(addresses.size()) + " addresses; at most " + std::to_string(kAddressesMax) +
                  " are taken", "address");
}

}  // namespace tidegate::rpc
