#pragma once

#include <cstdio>
#include <cstdlib>

namespace tidegate::internal {

[[noreturn]] inline void check_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "check failed: %s at %s:%d\n", expression, file, line);
  std::abort();
}

}  // namespace tidegate::internal

/// A broken invariant stops the process: restart is designed for, limping on is not. Always on.
/// Never use it on input: bad input is an Error.
#define TG_CHECK(expression)                                                        \
  (static_cast<bool>(expression) ? static_cast<void>(0)                             \
                                 : ::tidegate::internal::check_failed(#expression, __FILE__, __LINE__))

/// As TG_CHECK, compiled out of Release.
#ifdef NDEBUG
#define TG_DCHECK(expression) static_cast<void>(0)
#else
#define TG_DCHECK(expression) TG_CHECK(expression)
#endif
