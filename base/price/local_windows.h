#pragma once

#include <absl/time/time.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/result.h"
#include "base/price/price_version.h"

namespace tidegate::price {

/// Loads an IANA zone by name; "localtime", paths and fixed offsets are refused (an offset is not a zone: it cannot
/// follow summer time). Fails: invalid_argument/bad_price.
Result<absl::TimeZone> load_zone(std::string_view name);

/// A day number and a second of that day, on the wall clock of a zone.
struct LocalMoment {
  std::int64_t day = 0;  ///< days since 1970-01-01
  std::int32_t second = 0;
};
LocalMoment local_moment(const absl::TimeZone& zone, Wall instant);

/// A schedule's windows, ready to be asked. Everything is compared on the wall clock: a window that starts in a
/// skipped hour is shorter that day, one inside a repeated hour opens twice.
class LocalWindows {
 public:
  /// `schedule` has passed check_schedule(). `calendar` may be null.
  LocalWindows(const Schedule& schedule, absl::TimeZone zone, const Calendar* calendar);

  bool contains(LocalMoment moment) const;
  bool contains(Wall instant) const { return contains(local_moment(zone_, instant)); }
  const absl::TimeZone& zone() const { return zone_; }
  /// Day numbers that count as Mondays, ascending.
  const std::vector<std::int64_t>& workdays() const { return workdays_; }

  /// Appends every instant in (from, until] at which contains() may change, unordered, some of them twice.
  void append_boundaries(Wall from, Wall until, std::vector<Wall>& out) const;

 private:
  bool opens_on(std::int64_t day) const;

  absl::TimeZone zone_;
  std::uint8_t weekdays_ = 0;  ///< bit 0 = Monday
  std::vector<LocalWindow> windows_;
  std::vector<std::int64_t> holidays_;  ///< sorted day numbers
  std::vector<std::int64_t> workdays_;  ///< the same
};

}  // namespace tidegate::price
