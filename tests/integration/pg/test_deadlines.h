#pragma once

#include <chrono>

#include "base/core/deadline.h"

namespace tidegate::test {

inline Deadline within(Duration span) { return Deadline::after(std::chrono::steady_clock::now(), span); }
/// Far beyond what a healthy machine needs.
inline Deadline soon_enough() { return within(std::chrono::seconds(20)); }

}  // namespace tidegate::test
