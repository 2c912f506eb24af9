#include "base/core/ip_range.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace tidegate {
namespace {

constexpr int kAddressBits = 128;
constexpr int kV4PrefixBits = 96;  ///< of ::ffff:0:0/96
constexpr std::array<std::uint8_t, 12> kV4Prefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::uint8_t kept_bits(int bits_of_byte) {
  return static_cast<std::uint8_t>(0xff00U >> std::clamp(bits_of_byte, 0, 8));
}

IpAddress masked(IpAddress address, int prefix_bits) {
  for (std::size_t i = 0; i < address.bytes.size(); ++i) {
    address.bytes[i] &= kept_bits(prefix_bits - static_cast<int>(i) * 8);
  }
  return address;
}

std::unexpected<Error> bad_range(std::string_view text, std::string_view hint) {
  return fail(Code::kInvalidArgument, "bad_ip_range",
              fmt::format("\"{}\" is not a range of addresses; {}", text, hint));
}

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  if (text.empty() || text.size() >= terminated.size()) return std::nullopt;
  std::ranges::copy(text, terminated.begin());
  IpAddress address;
  if (::inet_pton(AF_INET6, terminated.data(), address.bytes.data()) == 1) return address;
  std::ranges::copy(kV4Prefix, address.bytes.begin());
  if (::inet_pton(AF_INET, terminated.data(), address.bytes.data() + kV4Prefix.size()) == 1) return address;
  return std::nullopt;
}

bool IpAddress::is_v4() const { return std::equal(kV4Prefix.begin(), kV4Prefix.end(), bytes.begin()); }

std::string IpAddress::to_string() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const char* made = is_v4() ? ::inet_ntop(AF_INET, bytes.data() + kV4Prefix.size(), text.data(), text.size())
                             : ::inet_ntop(AF_INET6, bytes.data(), text.data(), text.size());
  return made == nullptr ? std::string() : std::string(made);
}

Result<IpRange> IpRange::parse(std::string_view text) {
  constexpr std::string_view kForms = "write 203.0.113.0/24, 2001:db8::/32 or one address";
  const auto slash = text.find('/');
  const auto base = IpAddress::parse(text.substr(0, slash));
  if (!base) return bad_range(text, kForms);
  const bool is_v4_text = text.substr(0, slash).find(':') == std::string_view::npos;
  const int bits_most = is_v4_text ? kAddressBits - kV4PrefixBits : kAddressBits;
  int bits = bits_most;
  if (slash != std::string_view::npos) {
    const std::string_view number = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), bits);
    const bool is_number = error == std::errc() && end == number.data() + number.size() && number.front() != '-';
    if (!is_number || bits > bits_most) {
      return bad_range(text, fmt::format("what follows / is a number from 0 to {}", bits_most));
    }
  }
  const IpRange range(*base, is_v4_text ? kV4PrefixBits + bits : bits);
  const IpRange meant(masked(*base, range.prefix_bits_), range.prefix_bits_);
  if (!(meant == range)) return bad_range(text, fmt::format("write {} for the whole range", meant.to_string()));
  return range;
}

bool IpRange::is_v4() const { return prefix_bits_ >= kV4PrefixBits && base_.is_v4(); }

bool IpRange::contains(const IpAddress& address) const {
  return address.is_v4() == is_v4() && masked(address, prefix_bits_) == base_;
}

std::string IpRange::to_string() const {
  return fmt::format("{}/{}", base_.to_string(), is_v4() ? prefix_bits_ - kV4PrefixBits : prefix_bits_);
}

}  // namespace tidegate
