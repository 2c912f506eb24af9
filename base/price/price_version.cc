#include "base/price/price_version.h"

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

}  // namespace tidegate::price
