#include "gateway/money/epoch_recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/core/encoding.h"

namespace tidegate::gateway {
namespace {

constexpr std::string_view kMarkerPrefix = "opening-";
constexpr std::string_view kEpochPrefix = "epoch-";
constexpr Duration kRecoveryRetryLeast = std::chrono::milliseconds(50);
constexpr Duration kRecoveryRetryMost = std::chrono::seconds(1);

std::unexpected<Error> stopped() { return fail(Code::kCancelled, "stopping", "the gateway is shutting down"); }

/// 0 for any other name.
std::uint64_t epoch_of(std::string_view name) {
  if (!name.starts_with(kEpochPrefix)) return 0;
  name.remove_prefix(kEpochPrefix.size());
  std::uint64_t epoch = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), epoch);
  return error == std::errc() && end == name.data() + name.size() ? epoch : 0;
}

}  // namespace

EpochRecovery::EpochRecovery(Accounts& accounts, Disk& disk, Site site, ShipperMetrics& shipping, MeterMetrics& metrics,
                             const Clock& clock, EntropySource& entropy, Log& log, Event& stopping)
    : accounts_(accounts),
      disk_(disk),
      site_(std::move(site)),
      shipping_(shipping),
      metrics_(metrics),
      clock_(clock),
      entropy_(entropy),
      log_(log),
      stopping_(stopping) {}

awaitable<Result<EpochLog>> EpochRecovery::run() {
  TG_CO_ASSIGN(const v1::OpenEpochResponse opened, co_await open_epoch());
  EpochLog::Identity identity;
  identity.gateway_id = site_.gateway_id;
  identity.epoch = opened.epoch();
  TG_CO_ASSIGN(identity.boot, boot_marker());
  TG_CO_ASSIGN(EpochLog log, EpochLog::create(disk_, epoch_folder(opened.epoch()), identity, site_.segment_bytes_max));
  TG_CO_TRY(disk_.sync_folder(site_.folder));
  TG_CO_TRY(remove_boot_marker());
  log_.info("epoch_opened", {kv("epoch", opened.epoch()), kv("unclosed", opened.unclosed_size())});

  Unclosed unclosed;
  for (const auto& one : opened.unclosed()) {
    if (one.epoch() == opened.epoch()) continue;
    unclosed[one.epoch()] = {.applied_through = one.applied_through(), .receipt_link = one.receipt_link()};
  }
  TG_CO_ASSIGN(const auto names, disk_.list(site_.folder));
  std::map<std::uint64_t, bool> is_local;
  for (const std::string& name : names) {
    if (const std::uint64_t epoch = epoch_of(name); epoch != 0 && epoch != opened.epoch()) is_local[epoch] = true;
  }
  for (const auto& [epoch, owed] : unclosed) {
    if (is_local.contains(epoch)) continue;
    // Its journal is gone with what it owed: billing keeps the lease in quarantine until a person decides.
    metrics_.stuck_epochs.add(1);
    log_.error("epoch_journal_missing", {kv("epoch", epoch), kv("applied_through", owed.applied_through)});
  }
  for (const auto& [epoch, local] : is_local) {
    co_await recover(epoch, unclosed);
    if (stopping_.is_set()) co_return stopped();
  }
  co_return log;
}

awaitable<Result<v1::OpenEpochResponse>> EpochRecovery::open_epoch() {
  for (;;) {
    TG_CO_ASSIGN(const Uuid boot, boot_marker());
    TG_CO_ASSIGN(v1::OpenEpochResponse opened, co_await ask_for_epoch(boot));
    TG_CO_ASSIGN(const auto names, disk_.list(site_.folder));
    const std::string name = fmt::format("{}{}", kEpochPrefix, opened.epoch());
    if (std::ranges::find(names, name) == names.end()) co_return opened;
    // A crash came between making the epoch's folder and removing its marker: that life is over, ask for
    // another.
    TG_CO_TRY(remove_boot_marker());
  }
}

awaitable<Result<v1::OpenEpochResponse>> EpochRecovery::ask_for_epoch(Uuid boot) {
  Backoff backoff = make_backoff(boot.bytes[0]);
  bool is_logged = false;
  for (;;) {
    v1::OpenEpochRequest request;
    request.set_gateway_id(site_.gateway_id);
    request.set_boot_id(std::string(boot.raw()));
    request.set_region(site_.region);
    request.set_receipt_key(site_.receipts.key.public_key().raw());
    request.set_deployment(site_.receipts.deployment);
    auto opened = co_await accounts_.open_epoch(std::move(request));
    if (opened) co_return opened;
    if (!std::exchange(is_logged, true)) {
      log_.warn("epoch_not_opened", {kv("error", opened.error().to_string())});
    }
    if (!co_await pause(backoff)) co_return stopped();
  }
}

Result<Uuid> EpochRecovery::boot_marker() {
  TG_ASSIGN(const auto names, disk_.list(site_.folder));
  for (const std::string& name : names) {
    if (!name.starts_with(kMarkerPrefix)) continue;
    if (const auto raw = hex_decode(std::string_view(name).substr(kMarkerPrefix.size()))) {
      if (const auto boot = Uuid::from_bytes(*raw)) return *boot;
    }
  }
  Uuid boot;
  entropy_.fill(boot.bytes.data(), boot.bytes.size());
  TG_TRY(disk_.create(fmt::format("{}/{}{}", site_.folder, kMarkerPrefix, hex_encode(boot.raw()))));
  TG_TRY(disk_.sync_folder(site_.folder));
  return boot;
}

Status EpochRecovery::remove_boot_marker() {
  TG_ASSIGN(const auto names, disk_.list(site_.folder));
  for (const std::string& name : names) {
    if (name.starts_with(kMarkerPrefix)) TG_TRY(disk_.remove_file(site_.folder + "/" + name));
  }
  return disk_.sync_folder(site_.folder);
}

awaitable<void> EpochRecovery::recover(std::uint64_t epoch, const Unclosed& unclosed) {
  const Status done = co_await settle_and_close(epoch, unclosed);
  if (done || stopping_.is_set()) co_return;
  metrics_.stuck_epochs.add(1);
  log_.error("epoch_stuck",
             {kv("epoch", epoch), kv("folder", epoch_folder(epoch)), kv("error", done.error().to_string())});
}

awaitable<Status> EpochRecovery::settle_and_close(std::uint64_t epoch, const Unclosed& unclosed) {
  RecoveryPlan plan;
  std::string last_final;
  const RecordVisitor visit = [&plan, &last_final](const RecordView& record, std::uint64_t) {
    switch (record.type) {
      case RecordType::kAdmit:
        return plan.on_admit(record.request, record.payload);
      case RecordType::kProgress:
        return plan.on_progress(record.request, record.payload);
      case RecordType::kFinal:
        last_final = record.payload;
        return plan.on_final(record.request);
      case RecordType::kClosing:
        return plan.on_closing();
      case RecordType::kSegment:
        return;
    }
  };
  const auto owed = unclosed.find(epoch);
  auto log = EpochLog::open(disk_, epoch_folder(epoch), site_.segment_bytes_max, visit);
  const bool is_empty = !log && log.error().reason == "journal_empty";
  if (!log && !is_empty) co_return fail(log.error());
  if (owed == unclosed.end()) {
    if (is_empty || plan.is_closing()) co_return remove_epoch(epoch);
    co_return fail(Code::kDataLoss, "epoch_unknown", "billing does not know this epoch as open; was it restored?");
  }
  const std::uint64_t applied = owed->second.applied_through;
  std::uint64_t last = 0;
  if (log) {
    if (log->identity().gateway_id != site_.gateway_id) {
      co_return fail(Code::kFailedPrecondition, "journal_foreign",
                     fmt::format("this journal belongs to gateway {}", log->identity().gateway_id));
    }
    if (log->last_sequence() < applied) {
      co_return fail(Code::kDataLoss, "journal_behind",
                     fmt::format("billing has {} records, the journal only {}", applied, log->last_sequence()));
    }
    TG_CO_ASSIGN(const Digest head, chain_head(*log, last_final, owed->second));
    ReceiptDesk receipts(site_.receipts, site_.gateway_id, epoch, head);
    TG_CO_TRY(append_interrupted(*log, plan, receipts));
    last = log->last_sequence();
    TG_CO_TRY(co_await ship(*log, applied, receipts));
    log->append({.type = RecordType::kClosing, .sequence = last, .request = {}, .payload = {}});
    TG_CO_TRY(log->write());
    TG_CO_TRY(log->sync());
  }
  TG_CO_TRY(co_await close(epoch, last, Deadline::never()));
  log_.info("epoch_closed", {kv("epoch", epoch), kv("events", last), kv("interrupted", plan.interrupted().size()),
                             kv("void", plan.void_count())});
  co_return remove_epoch(epoch);
}

Result<Digest> EpochRecovery::chain_head(const EpochLog& log, const std::string& last_final, const Owed& owed) const {
  Digest head{};
  if (log.last_sequence() == 0) return head;
  if (last_final.empty()) {
    if (owed.receipt_link.size() == head.size()) std::ranges::copy(owed.receipt_link, head.begin());
    return head;
  }
  v1::UsageEvent event;
  if (!event.ParseFromString(last_final)) {
    return fail(Code::kDataLoss, "journal_corrupt", "the last FINAL cannot be read");
  }
  event.set_sequence(log.last_sequence());
  TG_ASSIGN(const auto link, link_after(event, site_.gateway_id, log.identity().epoch));
  return link.value_or(head);
}

Status EpochRecovery::append_interrupted(EpochLog& log, const RecoveryPlan& plan, ReceiptDesk& receipts) {
  metrics_.recovered_void.add(static_cast<double>(plan.void_count()));
  for (const RecoveryPlan::Cut& cut : plan.interrupted()) {
    v1::UsageEvent event;
    v1::UsageEvent progress;
    if (!event.ParseFromString(cut.admit) || !progress.ParseFromString(cut.progress)) {
      return fail(Code::kDataLoss, "journal_corrupt", cut.request.to_string() + " cannot be read");
    }
    event.MergeFrom(progress);
    event.set_status(v1::USAGE_STATUS_INTERRUPTED);
    event.set_finish_reason("error");
    Record record{
        .type = RecordType::kFinal, .sequence = 0, .request = cut.request, .payload = event.SerializeAsString()};
    TG_TRY(receipts.attach(record, event));
    log.append(std::move(record));
    metrics_.recovered_interrupted.add();
  }
  TG_TRY(log.write());
  TG_TRY(log.sync());
  receipts.sign_commit();
  return {};
}

awaitable<Status> EpochRecovery::ship(const EpochLog& log, std::uint64_t applied, ReceiptDesk& receipts) {
  EpochShipper::Source source;
  source.folder = log.folder();
  source.gateway_id = site_.gateway_id;
  source.epoch = log.identity().epoch;
  source.applied_through = applied;
  source.receipts = &receipts;
  EpochShipper shipper(accounts_, disk_, std::move(source), shipping_, clock_);
  Backoff backoff = make_backoff(log.identity().epoch);
  while (shipper.applied_through() < log.last_sequence()) {
    const Status shipped = co_await shipper.ship_next(log.first_segment(), log.synced());
    if (shipped) continue;
    if (!is_transient(shipped.error())) co_return shipped;
    if (!co_await pause(backoff)) co_return stopped();
  }
  co_return Status();
}

awaitable<Status> EpochRecovery::close(std::uint64_t epoch, std::uint64_t last_sequence, Deadline deadline) {
  Backoff backoff = make_backoff(epoch);
  for (;;) {
    v1::CloseEpochRequest request;
    request.set_gateway_id(site_.gateway_id);
    request.set_epoch(epoch);
    request.set_last_sequence(last_sequence);
    const auto closed = co_await accounts_.close_epoch(std::move(request));
    if (closed) co_return Status();
    if (!is_transient(closed.error()) || deadline.is_expired(clock_.mono())) co_return fail(closed.error());
    if (!co_await pause(backoff)) co_return stopped();
  }
}

Status EpochRecovery::remove_epoch(std::uint64_t epoch) {
  const std::string folder = epoch_folder(epoch);
  TG_ASSIGN(const auto names, disk_.list(folder));
  // Oldest first, each for certain: the last segment, which holds CLOSING, must go last.
  for (const std::string& name : names) {
    TG_TRY(disk_.remove_file(folder + "/" + name));
    TG_TRY(disk_.sync_folder(folder));
  }
  TG_TRY(disk_.remove_folder(folder));
  return disk_.sync_folder(site_.folder);
}

awaitable<bool> EpochRecovery::pause(Backoff& backoff) {
  const Deadline until = Deadline::after(clock_.mono(), backoff.next());
  const bool is_over = co_await stopping_.wait_until(until);
  co_return !is_over;
}

Backoff EpochRecovery::make_backoff(std::uint64_t seed) const {
  return Backoff(kRecoveryRetryLeast, kRecoveryRetryMost, seed);
}

std::string EpochRecovery::epoch_folder(std::uint64_t epoch) const {
  return fmt::format("{}/{}{}", site_.folder, kEpochPrefix, epoch);
}

}  // namespace tidegate::gateway
