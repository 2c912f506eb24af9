#include "gateway/core/client_address.h"

#include <algorithm>
#include <utility>

namespace tidegate::gateway {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t";
  const auto first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

/// Takes the last item off a list with commas.
std::string_view take_last(std::string_view& list) {
  const auto comma = list.rfind(',');
  const std::string_view last = comma == std::string_view::npos ? list : list.substr(comma + 1);
  list = comma == std::string_view::npos ? std::string_view() : list.substr(0, comma);
  return trimmed(last);
}

}  // namespace

std::optional<IpAddress> parse_hop(std::string_view text) {
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    return end == std::string_view::npos ? std::nullopt : IpAddress::parse(text.substr(1, end - 1));
  }
  // One colon is an IPv4 address with its port; several are IPv6.
  const auto colon = text.find(':');
  const bool has_port = colon != std::string_view::npos && text.find(':', colon + 1) == std::string_view::npos;
  return IpAddress::parse(has_port ? text.substr(0, colon) : text);
}

Result<TrustedProxies> TrustedProxies::parse(std::string_view list) {
  TrustedProxies proxies;
  while (!list.empty()) {
    TG_ASSIGN(auto range, IpRange::parse(take_last(list)));
    proxies.ranges_.push_back(std::move(range));
  }
  return proxies;
}

bool TrustedProxies::trusts(const IpAddress& address) const {
  return std::ranges::any_of(ranges_, [&](const IpRange& range) { return range.contains(address); });
}

std::optional<IpAddress> TrustedProxies::client_of(std::string_view peer,
                                                   const std::vector<std::string_view>& forwarded) const {
  auto client = parse_hop(peer);
  for (auto field = forwarded.rbegin(); field != forwarded.rend(); ++field) {
    std::string_view value = *field;
    while (!value.empty()) {
      if (!client || !trusts(*client)) return client;
      client = parse_hop(take_last(value));
    }
  }
  return client;
}

}  // namespace tidegate::gateway
