#include "billing/adapters/closing.h"

#include "billing/adapters/audit_store.h"

namespace tidegate::billing {

Result<ClosingReport> close_months(pg::Pool& pool, const ClosingRequest& request, IdSource& ids, const Clock& clock,
                                   Deadline deadline) {
  auto list = [&](pqxx::work& tx) -> Result<std::vector<DueWallet>> {
    return list_wallets_to_close(tx, request.tenant);
  };
  TG_ASSIGN(const auto wallets, pool.run_blocking(deadline, list));
  ClosingReport report;
  std::optional<Error> first_failure;
  for (const auto& wallet : wallets) {
    while (true) {
      if (report.closed.size() >= request.months_max) {
        report.has_more = true;
        return report;
      }
      CloseOptions options{ids.next(), ids.next(), request.is_draft, request.grace};
      const Wall now = clock.wall();
      auto job = [&](pqxx::work& tx) {
        attribute(tx, request.actor, request.origin);
        return close_next_month(tx, wallet, options, now);
      };
      auto month = pool.run_blocking(deadline, job);
      if (!month) {
        // One wallet that cannot be closed must not keep the others open.
        if (!first_failure) first_failure = month.error();
        break;
      }
      if (!*month) break;
      report.closed.push_back({wallet.tenant_name, **std::move(month)});
    }
  }
  if (first_failure) return fail(*first_failure);
  return report;
}

}  // namespace tidegate::billing
