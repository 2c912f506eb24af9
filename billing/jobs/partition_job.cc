#include "billing/jobs/partition_job.h"

#include "billing/adapters/audit_store.h"
#include "billing/adapters/usage_partitions.h"

namespace tidegate::billing {

namespace {

constexpr int kMonthsAhead = 2;
/// Summing up a month of many events takes its time; nobody waits for it.
constexpr auto kDropLimit = std::chrono::minutes(30);

}  // namespace

PartitionJob::PartitionJob(const ServiceContext& context, const std::string& holder, std::chrono::milliseconds interval, int keep_months)
    : context_(context),
      keep_months_(keep_months),
      lease_(context, "billing_partitions", holder, 3 * interval),
      loop_(interval, JobLoop::First::kAtStart, [this] { tend(); }) {}

void PartitionJob::tend() {
  if (!lease_.is_ours()) return;
  const Deadline ask = Deadline::after(context_.clock.mono(), kJobAskLimit);
  const Wall now = context_.clock.wall();
  auto prepare = [&](pqxx::work& tx) -> Result<int> {
    attribute(tx, "job/partitions", "");
    expire_usage(tx, now, keep_months_);
    return make_usage_partitions(tx, now, kMonthsAhead);
  };
  const auto made = context_.pool.run_blocking(ask, prepare);
  if (!made) {
    context_.log.warn("partitions_failed", {kv("error", made.error().to_string())});
    return;
  }
  if (*made > 0) context_.log.info("partitions_made", {kv("partitions", *made)});
  auto list = [](pqxx::work& tx) -> Result<std::vector<std::string>> { return expired_usage_partitions(tx); };
  const auto expired = context_.pool.run_blocking(ask, list);
  if (!expired) return;
  for (const auto& name : *expired) {
    auto drop = [&](pqxx::work& tx) -> Result<std::int64_t> { return drop_usage_partition(tx, name); };
    const auto dropped = context_.pool.run_blocking(Deadline::after(context_.clock.mono(), kDropLimit), drop);
    if (!dropped) {
      context_.log.warn("partition_kept", {kv("partition", name), kv("error", dropped.error().to_string())});
      return;
    }
    context_.log.info("partition_dropped", {kv("partition", name), kv("events", *dropped)});
  }
}

}  // namespace tidegate::billing
