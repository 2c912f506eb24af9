// tidegate-load PLAN.json: runs one load plan and prints its figures as one JSON object. The plan's members and what
// the figures mean: bench/load/README.md.
#include <fmt/format.h>

#include <cstdio>

#include "base/core/clock.h"
#include "bench/load/load_run.h"

int main(int argc, char** argv) {
  using namespace tidegate;
  if (argc != 2) {
    fmt::print(stderr, "usage: tidegate-load PLAN.json\n");
    return 2;
  }
  const auto plan = bench::read_load_plan(argv[1]);
  if (!plan) {
    fmt::print(stderr, "tidegate-load: {}\n", plan.error().to_string());
    return 2;
  }
  const SystemClock clock;
  const auto figures = bench::run_load(*plan, clock);
  if (!figures) {
    fmt::print(stderr, "tidegate-load: {}\n", figures.error().to_string());
    return 1;
  }
  fmt::print("{}\n", bench::render_figures(*figures));
  return 0;
}
