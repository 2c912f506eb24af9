#include "worker/verify/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace tidegate::worker {

double TapDifference::share() const {
  if (compared == 0 || std::isnan(worst)) return std::numeric_limits<double>::infinity();
  if (tolerance > 0) return worst / tolerance;
  return worst > 0 ? std::numeric_limits<double>::infinity() : 0;
}

const TapDifference* VerifyReport::nearest() const {
  const auto found = std::ranges::max_element(taps, {}, &TapDifference::share);
  return found == taps.end() ? nullptr : &*found;
}

bool VerifyReport::passed() const {
  return !taps.empty() && std::ranges::all_of(taps, [](const TapDifference& tap) { return tap.passed(); });
}

std::string to_text(const VerifyReport& report) {
  std::string out = fmt::format("model {} ({}, {} kernels)\ngolden {}\n", report.model, report.architecture,
                                report.kernels, report.golden);
  std::size_t failed = 0;
  for (const TapDifference& tap : report.taps) {
    out += fmt::format("{:<5}{:<24} worst {:>9.3g}  tolerance {:>7.2g}  compared {}\n",
                       tap.passed() ? "ok" : "FAIL", tap.tap, tap.worst, tap.tolerance, tap.compared);
    failed += tap.passed() ? 0 : 1;
  }
  for (const std::string& part : report.not_covered) out += fmt::format("not covered: {}\n", part);
  return out + fmt::format("{} passed, {} failed\n", report.taps.size() - failed, failed);
}

json::object to_json(const VerifyReport& report) {
  json::array taps;
  for (const TapDifference& tap : report.taps) {
    taps.push_back(json::object{{"tap", tap.tap},
                                {"worst", tap.worst},
                                {"tolerance", tap.tolerance},
                                {"compared", tap.compared},
                                {"passed", tap.passed()}});
  }
  json::array not_covered;
  for (const std::string& part : report.not_covered) not_covered.emplace_back(part);
  return json::object{{"model", report.model},
                      {"golden", report.golden},
                      {"architecture", report.architecture},
                      {"kernels", report.kernels},
                      {"passed", report.passed()},
                      {"taps", std::move(taps)},
                      {"not_covered", std::move(not_covered)}};
}

}  // namespace tidegate::worker
