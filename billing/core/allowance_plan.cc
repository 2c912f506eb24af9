#include "billing/core/allowance_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace tidegate::billing {

namespace {

std::unexpected<Error> refuse(const AllowancePlan& plan, std::string field, std::string_view what) {
  return fail(Code::kInvalidArgument, "bad_allowance", fmt::format("allowance \"{}\": {}", plan.name, what),
              "allowances." + std::move(field));
}

Wall end_of(const AllowancePlan& plan) { return plan.effective_to.value_or(Wall::max()); }

auto identity(const AllowancePlan& p) { return std::tie(p.name, p.tenant, p.model, p.currency, p.effective_from); }

bool same_but_for_end(AllowancePlan a, const AllowancePlan& b) {
  a.id = b.id;
  a.effective_to = b.effective_to;
  return a == b;
}

}  // namespace

Status check_plans(const std::vector<AllowancePlan>& plans) {
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const AllowancePlan& plan = plans[i];
    TG_TRY(check_allowance(plan));
    for (std::size_t j = 0; j < i; ++j) {
      const AllowancePlan& other = plans[j];
      const bool is_rival = std::tie(plan.currency, plan.tenant, plan.model) ==
                            std::tie(other.currency, other.tenant, other.model);
      if (is_rival && plan.effective_from < end_of(other) && other.effective_from < end_of(plan)) {
        return refuse(plan, "effective_from",
                      fmt::format("\"{}\" holds for the same tenant and model at the same time; end it first", other.name));
      }
    }
  }
  return {};
}

const AllowancePlan* plan_of(const std::vector<AllowancePlan>& plans, std::string_view currency, std::string_view tenant,
                             std::string_view model, Wall priced_at) {
  const AllowancePlan* best = nullptr;
  for (const AllowancePlan& plan : plans) {
    const bool is_for_it = plan.currency == currency && (plan.tenant.empty() || plan.tenant == tenant) &&
                           (plan.model.empty() || plan.model == model) && priced_at >= plan.effective_from &&
                           priced_at < end_of(plan);
    if (!is_for_it) continue;
    const auto rank = [](const AllowancePlan& p) { return std::pair(!p.tenant.empty(), !p.model.empty()); };
    if (best == nullptr || rank(*best) < rank(plan)) best = &plan;
  }
  return best;
}

Result<AllowancePublication> plan_allowances(const std::vector<AllowancePlan>& published, std::vector<AllowancePlan> wanted,
                                             Wall now) {
  AllowancePublication out;
  std::vector<AllowancePlan> after = published;
  for (auto& plan : wanted) {
    const auto known = std::ranges::find_if(
        after, [&](const AllowancePlan& p) { return p.id != 0 && identity(p) == identity(plan); });
    if (known == after.end()) {
      if (plan.effective_from < now) {
        return refuse(plan, "effective_from",
                      fmt::format("begins before {}; usage posted until then was charged without it", format_rfc3339(now)));
      }
      out.add.push_back(plan);
      after.push_back(std::move(plan));
      continue;
    }
    if (!same_but_for_end(plan, *known)) {
      return refuse(plan, "name", "is published with other content, which does not change: end it and publish another");
    }
    if (plan.effective_to == known->effective_to) {
      ++out.unchanged;
      continue;
    }
    if (std::min(end_of(plan), end_of(*known)) < now) {
      return refuse(plan, "effective_to", "an end may move only while the old and the new one are to come");
    }
    out.ends.push_back({known->id, plan.effective_to});
    known->effective_to = plan.effective_to;
  }
  TG_TRY(check_plans(after));
  return out;
}

}  // namespace tidegate::billing
