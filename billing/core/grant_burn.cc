#include "billing/core/grant_burn.h"

#include <algorithm>
#include <tuple>

#include "base/core/check.h"

namespace tidegate::billing {

namespace {

bool may_pay(const GrantState& grant, Wall instant, std::string_view model) {
  if (grant.is_voided || grant.left <= Money()) return false;
  if (instant < grant.effective_at || instant >= grant.expires_at) return false;
  return grant.models.empty() ||
         std::find(grant.models.begin(), grant.models.end(), model) != grant.models.end();
}

}  // namespace

BurnDown burn_down(std::vector<GrantState> grants, Money charge, Wall instant, std::string_view model) {
  TG_CHECK(!charge.is_negative());
  std::sort(grants.begin(), grants.end(), [](const GrantState& a, const GrantState& b) {
    return std::tie(a.priority, a.expires_at, a.id) < std::tie(b.priority, b.expires_at, b.id);
  });
  BurnDown out;
  out.paid = charge;
  for (const auto& grant : grants) {
    if (out.paid.is_zero()) break;
    if (!may_pay(grant, instant, model)) continue;
    const Money taken = std::min(grant.left, out.paid);
    out.uses.push_back({grant.id, taken});
    out.paid -= taken;
  }
  return out;
}

}  // namespace tidegate::billing
