#pragma once

#include <string_view>

#include "base/core/metrics.h"
#include "tests/support/eventually.h"

namespace tidegate::test {

/// The value of a counter once it has reached `expected`; what it has after ten seconds where it does not. For what is
/// counted behind the last byte of an answer: whoever reads the answer may be here first.
inline double counted(const MemoryRegistry& registry, double expected, std::string_view name, const Labels& labels = {}) {
  (void)eventually([&] { return registry.value(name, labels) >= expected; });
  return registry.value(name, labels);
}

}  // namespace tidegate::test
