#include "gateway/dispatch/demand_reporter.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/rpc/address.h"
#include "base/rpc/tls.h"

namespace tidegate::gateway {

namespace {
constexpr auto kCallLimit = std::chrono::seconds(2);
constexpr std::size_t kPoolsMax = 1'024;  ///< as the scheduler takes
}  // namespace

v1::DemandReport to_message(const DemandReporterOptions& options, const std::vector<PoolDemand>& demand) {
  v1::DemandReport report;
  report.set_gateway_id(options.gateway_id);
  report.set_epoch(options.epoch);
  for (std::size_t i = 0; i < std::min(demand.size(), kPoolsMax); ++i) {
    const PoolDemand& from = demand[i];
    auto* out = report.add_pools();
    out->set_model(from.pool.model);
    out->set_region(from.pool.region);
    out->set_pool(from.pool.pool);
    out->set_arrivals_total(from.arrivals);
    out->set_dispatches_total(from.dispatches);
    out->set_refusals_total(from.refusals);
    out->set_prompt_tokens_total(from.prompt_tokens);
    out->set_waiting(from.waiting);
    out->set_oldest_wait_ms(in_millis(from.oldest_wait));
  }
  return report;
}

DemandReporter::DemandReporter(DemandReporterOptions options, const DemandBoard& board, Executor executor,
                               const Clock& clock, Log& log)
    : options_(std::move(options)), board_(board), clock_(clock), log_(log), stopping_(std::move(executor)) {}

awaitable<Status> DemandReporter::run() {
  rpc::ChannelOptions channel_options;
  channel_options.token = options_.cluster_token;
  channel_options.tls = options_.tls;
  channel_options.peer_role = rpc::kSchedulerRole;
  const auto addresses = rpc::split_addresses(options_.scheduler_addresses);
  if (!addresses) co_return fail(addresses.error());
  std::vector<rpc::Client<v1::Fleet>> clients;
  for (const std::string& address : *addresses) {
    auto channel = rpc::make_channel(address, channel_options);
    if (!channel) co_return fail(std::move(channel).error());
    clients.emplace_back(*std::move(channel));
  }
  std::size_t leader = 0;  // as far as we know
  for (;;) {
    const Deadline next = Deadline::after(clock_.mono(), options_.every);
    auto waiting = stopping_.wait_until(next);
    const bool is_stopping = co_await std::move(waiting);
    if (is_stopping) co_return Status();
    std::optional<Error> refused;
    for (std::size_t tried = 0; tried < clients.size() && !stopping_.is_set(); ++tried) {
      v1::DemandReport report = to_message(options_, board_.sum());
      const Deadline limit = Deadline::after(clock_.mono(), kCallLimit);
      auto call = clients[leader].call(&v1::Fleet::Stub::async::ReportDemand, std::move(report), limit);
      auto taken = co_await std::move(call);
      refused.reset();
      if (taken) break;
      refused = taken.error();
      leader = (leader + 1) % clients.size();
    }
    if (!refused) {
      is_outage_logged_ = false;
    } else if (!std::exchange(is_outage_logged_, true)) {
      log_.warn("demand_not_reported",
                {kv("scheduler", options_.scheduler_addresses), kv("error", refused->to_string())});
    }
  }
}

void DemandReporter::stop() { stopping_.set(); }

}  // namespace tidegate::gateway
