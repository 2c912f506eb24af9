#include "billing/jobs/partition_job.h"

#include "billing/adapters/audit_store.h"
#include "billing/adapters/usage_partitions.h"

namespace tidegate::billing {

namespace {

constexpr int kMonthsAhead = 2;
constexpr auto kAskLimit = std::chrono::seconds(5);
/// Summing up a month of many events takes its time; nobody waits for it.
constexpr auto kDropLimit = std::chrono::minutes(30);

}  // namespace

PartitionJob::PartitionJob(const ServiceContext& context, const std::string& holder, std::chrono::milliseconds interval, int keep_months)
    : context_(context),
      interval_(interval),
      keep_months_(keep_months),
      lease_(context.pool, context.clock, "billing_partitions", holder, 3 * interval) {
  thread_ = std::thread([this] { run(); });
}

void PartitionJob::stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  stopping_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void PartitionJob::run() {
  std::unique_lock lock(mutex_);
  do {
    lock.unlock();
    tend();
    lock.lock();
  } while (!stopping_.wait_for(lock, interval_, [this] { return is_stopping_; }));
}

void PartitionJob::tend() {
  const Deadline ask = Deadline::after(context_.clock.mono(), kAskLimit);
  if (const auto table = lease_.create_table(ask); !table) return;
  const auto leading = lease_.acquire(ask);
  if (!leading || !*leading) return;
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
