#include "base/price/price_version.h"

#include <fmt/format.h>

namespace tidegate::price {

std::string_view basis_name(Basis basis) {
  switch (basis) {
    case Basis::kCompletedAt: return "completed_at";
    case Basis::kAdmittedAt: return "admitted_at";
    case Basis::kStartedAt: return "started_at";
  }
  return "";
}

std::optional<Basis> parse_basis(std::string_view name) {
  for (const Basis basis : {Basis::kCompletedAt, Basis::kAdmittedAt, Basis::kStartedAt}) {
    if (basis_name(basis) == name) return basis;
  }
  return std::nullopt;
}

std::string format_date(std::chrono::local_days day) {
  const std::chrono::year_month_day date(day);
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()));
}

}  // namespace tidegate::price
