#include "gateway/money/epoch_shipper.h"

#include <fmt/format.h>

namespace tidegate::gateway {
namespace {

constexpr std::size_t kBatchEventsMax = 1000;  // of SubmitUsage

Result<v1::UsageBatch> batch_of(const std::vector<FinalReader::Final>& finals, ReceiptDesk& receipts) {
  v1::UsageBatch batch;
  for (const FinalReader::Final& final : finals) {
    v1::UsageEvent* event = batch.add_events();
    if (!event->ParseFromString(final.payload)) {
      return fail(Code::kDataLoss, "journal_corrupt", fmt::format("FINAL {} is not a usage event", final.sequence));
    }
    event->set_sequence(final.sequence);
    TG_TRY(receipts.complete(*event));
  }
  return batch;
}

}  // namespace

EpochShipper::EpochShipper(Accounts& accounts, Disk& disk, Source source, ShipperMetrics& metrics, const Clock& clock)
    : accounts_(accounts),
      reader_(disk, std::move(source.folder)),
      gateway_id_(std::move(source.gateway_id)),
      epoch_(source.epoch),
      receipts_(*source.receipts),
      metrics_(metrics),
      clock_(clock),
      applied_(source.applied_through) {}

awaitable<Status> EpochShipper::ship_next(std::uint64_t first_segment, EpochLog::Position end) {
  TG_CO_ASSIGN(const auto finals, reader_.read_after(applied_, first_segment, end, kBatchEventsMax));
  if (finals.empty()) {
    oldest_waiting_us_ = 0;
    co_return Status();
  }
  TG_CO_ASSIGN(v1::UsageBatch batch, batch_of(finals, receipts_));
  batch.set_gateway_id(gateway_id_);
  batch.set_epoch(epoch_);
  oldest_waiting_us_ = batch.events(0).completed_us();
  const std::uint64_t last = finals.back().sequence;
  const Mono begin = clock_.mono();
  const auto ack = co_await accounts_.submit_usage(std::move(batch));
  if (!ack) {
    if (ack.error().reason == "sequence_gap") applied_ = 0;
    co_return fail(ack.error());
  }
  metrics_.submit_seconds.observe(std::chrono::duration<double>(clock_.mono() - begin).count());
  if (ack->applied_through() < last) {
    co_return fail(Code::kInternal, "bad_ack",
                   fmt::format("billing acknowledged {} of a batch that ends at {}", ack->applied_through(), last));
  }
  metrics_.batches.add();
  metrics_.events.add(static_cast<double>(finals.size()));
  applied_ = ack->applied_through();
  oldest_waiting_us_ = 0;
  co_return Status();
}

}  // namespace tidegate::gateway
