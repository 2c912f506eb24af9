#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/core/result.h"

namespace tidegate {

/// An address of either family. IPv4 is kept as ::ffff:a.b.c.d, so that one caller is one address whether a dual-stack
/// socket or a plain one accepted it.
struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};

  /// "203.0.113.7" or "2001:db8::1"; no port, no brackets, no zone. nullopt for anything else.
  static std::optional<IpAddress> parse(std::string_view text);
  bool is_v4() const;
  std::string to_string() const;
  auto operator<=>(const IpAddress&) const = default;
};

/// Addresses that share their first bits, in the notation of RFC 4632 and RFC 4291. Immutable.
class IpRange {
 public:
  /// "10.0.0.0/8", "2001:db8::/32", or one address. Bits behind the prefix must be zero: "10.1.2.3/8" is a slip of the
  /// pen more often than it is meant. Fails: invalid_argument/bad_ip_range, naming the range that was probably meant.
  static Result<IpRange> parse(std::string_view text);

  /// Never true across families: 0.0.0.0/0 is every IPv4 address, ::/0 every IPv6 one.
  bool contains(const IpAddress& address) const;
  /// As PostgreSQL's cidr prints it: always with its prefix.
  std::string to_string() const;
  bool operator==(const IpRange&) const = default;

 private:
  IpRange(IpAddress base, int prefix_bits) : base_(base), prefix_bits_(prefix_bits) {}
  bool is_v4() const;

  IpAddress base_;
  int prefix_bits_;  ///< of the 128
};

}  // namespace tidegate
