#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace tidegate {

/// Open connections by the address they come from. An IPv6 address counts by its /64, which one customer owns whole.
/// Thread-safe; memory follows the open connections.
class AddressCount {
 public:
  /// False, and nothing is counted, when `most` are open already; `most` 0: any number.
  bool enter(std::string_view address, std::size_t most);
  /// Once for each enter() that was true, with the same address.
  void leave(std::string_view address);
  std::size_t open(std::string_view address) const;

 private:
  static std::string group_of(std::string_view address);
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::size_t> counts_;  // guarded by mutex_
};

}  // namespace tidegate
