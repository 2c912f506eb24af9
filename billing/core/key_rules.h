#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "base/core/result.h"

/// What limits an API key, and how one replaces another.
namespace tidegate::billing {

/// Names of base/core/key_scope.h, each once, in their own order; empty stays empty. Fails: invalid_argument/bad_scope
/// (scopes).
Result<std::vector<std::string>> read_scopes(const std::vector<std::string>& names);
/// CIDR ranges or single addresses, canonical, each once, at most 32; empty stays empty. Fails:
/// invalid_argument/bad_ip_range (sources).
Result<std::vector<std::string>> read_sources(const std::vector<std::string>& ranges);

/// Keys of one tenant. A limit on a key counts for that key alone, so whoever makes keys without end is limited by none.
struct KeyCounts {
  std::int64_t alive = 0;        ///< neither revoked nor expired
  std::int64_t created_day = 0;  ///< in the last 24 hours, by rotations too, whatever became of them
};
struct KeyLimits {
  std::int64_t alive_max = 500;
  std::int64_t created_day_max = 100;
};
/// Whether one more may be made. Fails: resource_exhausted/too_many_keys, naming the option and the way out.
Status check_key_counts(const KeyCounts& counts, const KeyLimits& limits);

/// A key at the moment of its rotation.
struct KeyLife {
  std::optional<Wall> expires, revoked;
  std::string replaced_by;  ///< empty: not yet
};
struct Rotation {
  Wall old_ends;  ///< now + overlap, or its own expiry where that comes first
  std::optional<Wall> successor_expires;
};
/// `wanted` is the expiry asked for the successor; nullopt: as the old key's. Fails: failed_precondition/key_is_over
/// (revoked or expired), failed_precondition/already_rotated, invalid_argument/bad_overlap (overlap_us),
/// invalid_argument/bad_expiry (expires_us).
Result<Rotation> plan_rotation(const KeyLife& old, std::chrono::microseconds overlap, const std::optional<Wall>& wanted,
                               Wall now);

}  // namespace tidegate::billing
