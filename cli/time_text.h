#pragma once

#include <cstdint>
#include <string>

#include "base/core/clock.h"

namespace tidegate::cli {

/// "2026-11-21T08:00:00Z", or "-" for zero.
inline std::string time_text(std::int64_t micros) {
  if (micros == 0) return "-";
  return format_rfc3339(wall_from_unix_micros(micros)).substr(0, 19) + "Z";
}

}  // namespace tidegate::cli
