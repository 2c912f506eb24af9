#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/core/ip_range.h"
#include "base/core/result.h"

namespace tidegate::gateway {

/// The proxies whose X-Forwarded-For is believed. Anybody can send that header, so an empty list, the default, believes
/// nobody. Immutable.
class TrustedProxies {
 public:
  TrustedProxies() = default;
  /// Ranges with commas between them; "" for none. Fails: as IpRange::parse().
  static Result<TrustedProxies> parse(std::string_view list);

  bool empty() const { return ranges_.empty(); }
  /// Whose request it is. `peer` holds the connection; `forwarded` are the values of X-Forwarded-For in the order of
  /// their fields. The list is read from its end, as proxies append to it: the first address that is no trusted proxy
  /// is the client; what stands before it is the client's own claim. nullopt when the address that decides cannot be
  /// read.
  std::optional<IpAddress> client_of(std::string_view peer, const std::vector<std::string_view>& forwarded) const;

 private:
  bool trusts(const IpAddress& address) const;
  std::vector<IpRange> ranges_;
};

/// An address as proxies write it: with or without a port, IPv6 with or without brackets.
std::optional<IpAddress> parse_hop(std::string_view text);

}  // namespace tidegate::gateway
