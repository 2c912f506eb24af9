#include "base/net/address_count.h"

#include <boost/asio/ip/address.hpp>

namespace tidegate {

namespace ip = boost::asio::ip;

std::string AddressCount::group_of(std::string_view address) {
  boost::system::error_code bad;
  const auto parsed = ip::make_address(std::string(address), bad);
  if (bad || !parsed.is_v6()) return std::string(address);
  const ip::address_v6 v6 = parsed.to_v6();
  if (v6.is_v4_mapped()) return ip::make_address_v4(ip::v4_mapped, v6).to_string();
  auto bytes = v6.to_bytes();
  for (std::size_t i = 8; i < bytes.size(); ++i) bytes[i] = 0;
  return ip::address_v6(bytes).to_string();
}

bool AddressCount::enter(std::string_view address, std::size_t most) {
  const std::string group = group_of(address);
  const std::lock_guard lock(mutex_);
  std::size_t& count = counts_[group];
  if (most > 0 && count >= most) return false;
  ++count;
  return true;
}

void AddressCount::leave(std::string_view address) {
  const std::string group = group_of(address);
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find(group);
  if (found == counts_.end()) return;
  if (--found->second == 0) counts_.erase(found);
}

std::size_t AddressCount::open(std::string_view address) const {
  const std::string group = group_of(address);
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find(group);
  return found == counts_.end() ? 0 : found->second;
}

}  // namespace tidegate
