#pragma once

#include "base/core/clock.h"

namespace tidegate::pg {

/// For waits in this folder, which no test moves by hand: they end at a deadline in a thread of their own.
inline Mono steady_now() { return std::chrono::steady_clock::now(); }

}  // namespace tidegate::pg
