#include "gateway/money/treasury.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <utility>

#include "base/net/timer.h"

namespace tidegate::gateway {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(250);

}  // namespace

Result<std::shared_ptr<Treasury>> Treasury::open(TreasuryConfig config, TreasuryParts parts) {
  if (config.gateway_id.empty() || config.pepper.empty() || config.journal_folder.empty()) {
    return fail(Code::kInvalidArgument, "bad_config", "a gateway needs its id, the key pepper and a journal folder");
  }
  if (!config.receipts) {
    return fail(Code::kInvalidArgument, "bad_config",
                "a gateway needs a key to sign receipts with; make one with: tidegate receipt-key mint",
                "secrets.receipt_key_file");
  }
  TG_TRY(parts.disk.make_folder(config.journal_folder));
  TG_ASSIGN(auto lock, parts.disk.lock(config.journal_folder));
  return std::shared_ptr<Treasury>(new Treasury(std::move(config), std::move(parts), std::move(lock)));
}

Treasury::Treasury(TreasuryConfig config, TreasuryParts parts, std::unique_ptr<FolderLock> lock)
    : config_(std::move(config)),
      parts_(std::move(parts)),
      lock_(std::move(lock)),
      journal_metrics_(parts_.metrics),
      feed_metrics_(parts_.metrics),
      lease_metrics_(parts_.metrics),
      shipper_metrics_(parts_.metrics),
      meter_metrics_(parts_.metrics),
      principals_(config_.pepper, parts_.clock),
      leases_(parts_.accounts, config_.gateway_id, config_.leases, lease_metrics_, parts_.clock, parts_.entropy,
              parts_.log, parts_.executor),
      feed_(parts_.accounts, config_.gateway_id, principals_, feed_metrics_, parts_.clock, parts_.log,
            parts_.executor, [this](WalletId wallet) { leases_.on_top_up(wallet); },
            [this](const Uuid& cap, bool is_lowered) { leases_.on_cap_changed(cap, is_lowered); }),
      meter_(config_.meter, config_.pepper, feed_, parts_.clock),
      stopping_(parts_.executor),
      loop_ended_(parts_.executor) {}

Treasury::~Treasury() {
  if (journal_) journal_->stop();
}

template <typename Loop>
void Treasury::spawn(Loop loop) {
  ++loops_;
  auto run = [](std::shared_ptr<Treasury> self, Loop inner) -> awaitable<void> {
    co_await inner(*self);
    --self->loops_;
    self->loop_ended_.notify();
  };
  asio::co_spawn(parts_.executor, run(shared_from_this(), std::move(loop)), asio::detached);
}

void Treasury::start() {
  auto begin_all = [self = shared_from_this()] {
    self->spawn([](Treasury& treasury) { return treasury.feed_.run(); });
    self->spawn([](Treasury& treasury) { return treasury.begin(); });
    self->spawn([](Treasury& treasury) { return treasury.tick(); });
  };
  asio::post(parts_.executor, std::move(begin_all));
}

awaitable<void> Treasury::begin() {
  EpochRecovery::Site site{.receipts = *config_.receipts};
  site.folder = config_.journal_folder;
  site.gateway_id = config_.gateway_id;
  site.region = config_.meter.region;
  site.segment_bytes_max = config_.journal.segment_bytes_max;
  EpochRecovery recovery(parts_.accounts, parts_.disk, std::move(site), shipper_metrics_, meter_metrics_, parts_.clock,
                         parts_.entropy, parts_.log, stopping_);
  auto log = co_await recovery.run();
  if (stopping_.is_set()) co_return;
  if (!log) {
    parts_.log.error("journal_not_opened", {kv("error", log.error().to_string())});
    note_failure();
    co_return;
  }
  EpochShipper::Source source;
  source.folder = log->folder();
  source.gateway_id = config_.gateway_id;
  source.epoch = log->identity().epoch;
  receipts_ = std::make_unique<ReceiptDesk>(*config_.receipts, config_.gateway_id, log->identity().epoch);
  source.receipts = receipts_.get();
  EpochShipper epoch(parts_.accounts, parts_.disk, std::move(source), shipper_metrics_, parts_.clock);
  leases_.open_epoch(log->identity().epoch);
  journal_ = std::make_unique<Journal>(*std::move(log), config_.journal, journal_metrics_, parts_.clock, parts_.log);
  journal_->on_commit([desk = receipts_.get()] { desk->sign_commit(); });
  shipper_ = std::make_unique<Shipper>(*journal_, std::move(epoch), shipper_metrics_, parts_.clock, parts_.log,
                                       parts_.executor);
  context_.reset(new ChargeContext{.journal = *journal_,
                                   .leases = leases_,
                                   .metrics = meter_metrics_,
                                   .clock = parts_.clock,
                                   .log = parts_.log,
                                   .feed = feed_,
                                   .receipts = *receipts_,
                                   .charge_ended = AsyncSignal(parts_.executor)});
  meter_.open(std::shared_ptr<ChargeContext>(shared_from_this(), context_.get()));
  is_open_.store(true);  // after the door: whoever hears that it is ready is let in
  spawn([](Treasury& treasury) { return treasury.shipper_->run(); });
}

awaitable<void> Treasury::tick() {
  for (;;) {
    const Deadline next = Deadline::after(parts_.clock.mono(), kTick);
    if (co_await stopping_.wait_until(next)) co_return;
    leases_.tick();
    feed_.tick();
    if (is_open_.load() && journal_->has_failed()) note_failure();
  }
}

void Treasury::note_failure() {
  if (has_failed_.exchange(true)) return;
  if (parts_.on_failed) parts_.on_failed();
}

Status Treasury::ready() const {
  if (has_failed()) return fail(Code::kUnavailable, "journal_failed", "the journal cannot be written");
  if (feed_.lacks_limits()) {
    return fail(Code::kUnavailable, "limits_not_loaded", "a rate limit cannot be read; the log line limits_refused names it");
  }
  if (!principals_.is_loaded()) return fail(Code::kUnavailable, "keys_not_loaded", "accounts are being loaded");
  if (!feed_.has_prices()) return fail(Code::kUnavailable, "prices_not_loaded", "prices are being loaded");
  if (!is_open_.load()) return fail(Code::kUnavailable, "epoch_not_open", "earlier usage is being settled with billing");
  if (journal_->is_full()) return fail(Code::kUnavailable, "journal_full", "the journal is at its quota");
  return {};
}

awaitable<bool> Treasury::drain(Deadline deadline) {
  meter_.close();
  bool is_clean = true;
  if (is_open_.load()) {
    context_->is_draining.store(true);
    const bool is_quiet = co_await wait_for_charges(deadline);
    co_await leases_.stop();
    is_clean = is_quiet && co_await finish_epoch(deadline);
    shipper_->stop();
  }
  stopping_.set();
  feed_.stop();
  while (loops_ > 0) co_await loop_ended_.wait();
  if (!is_clean) parts_.log.warn("drain_incomplete", {kv("epoch", epoch())});
  co_return is_clean;
}

awaitable<bool> Treasury::wait_for_charges(Deadline deadline) {
  while (context_->open_charges.load() > 0) {
    if (deadline.is_expired(parts_.clock.mono())) co_return false;
    co_await context_->charge_ended.wait_until(deadline);
  }
  co_return true;
}

awaitable<bool> Treasury::finish_epoch(Deadline deadline) {
  // A charge settles its FINAL before it ends, so this is the last one.
  const bool is_shipped = co_await shipper_->flush(deadline);
  if (!is_shipped || journal_->has_failed()) co_return false;
  shipper_->stop();
  const std::uint64_t last = journal_->durable().last_sequence;
  const Status written = co_await write_closing(last);
  if (!written) co_return false;
  EpochRecovery::Site site{.receipts = *config_.receipts};
  site.folder = config_.journal_folder;
  site.gateway_id = config_.gateway_id;
  EpochRecovery recovery(parts_.accounts, parts_.disk, std::move(site), shipper_metrics_, meter_metrics_, parts_.clock,
                         parts_.entropy, parts_.log, stopping_);
  const Status closed = co_await recovery.close(journal_->epoch(), last, deadline);
  if (!closed) co_return false;
  journal_->stop();
  if (const Status removed = recovery.remove_epoch(journal_->epoch()); !removed) {
    parts_.log.warn("epoch_folder_not_removed", {kv("error", removed.error().to_string())});
  }
  parts_.log.info("epoch_closed", {kv("epoch", journal_->epoch()), kv("events", last)});
  co_return true;
}

awaitable<Status> Treasury::write_closing(std::uint64_t last_sequence) {
  Record record;
  record.type = RecordType::kClosing;
  record.sequence = last_sequence;
  auto start = [this, &record](Resume<Result<std::uint64_t>> resume) {
    journal_->append(std::move(record), std::move(resume));
  };
  auto cancel = [] {};
  auto waiting = suspend<Result<std::uint64_t>>(std::move(start), std::move(cancel));
  TG_CO_TRY(co_await std::move(waiting));
  co_return Status();
}

}  // namespace tidegate::gateway
