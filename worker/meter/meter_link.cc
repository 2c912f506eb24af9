#include "worker/meter/meter_link.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <utility>

#include "base/net/timer.h"

namespace tidegate::worker {

using namespace asio::experimental::awaitable_operators;

namespace {

constexpr std::size_t kBatchRecordsMax = 500;

void encode(const MeterRecord& record, v1::WorkerRecord& out) {
  const auto& [entry, finished] = record;
  out.set_request_id(std::string(entry.request.raw()));
  out.set_finished_us(unix_micros(finished));
  out.set_finish(std::string(finish_name(entry.finish)));
  out.set_prompt_tokens(entry.usage.prompt_tokens);
  out.set_cached_tokens(entry.usage.cached_tokens);
  out.set_completion_tokens(entry.usage.completion_tokens);
  out.set_reasoning_tokens(entry.usage.reasoning_tokens);
  out.set_drafted_tokens(entry.usage.drafted_tokens);
  out.set_accepted_tokens(entry.usage.accepted_tokens);
  out.set_device_us(entry.usage.device_us);
}

}  // namespace

MeterLink::MeterLink(std::shared_ptr<rpc::Channel> channel, Executor executor, const Clock& clock, Log& log,
                     const WorkerMetrics& metrics, const MeterFile& own, Options options)
    : client_(std::move(channel)),
      executor_(std::move(executor)),
      clock_(clock),
      log_(log),
      metrics_(metrics),
      own_(own),
      options_(options),
      backoff_(options.retry_least, options.retry_most, options.seed),
      stopping_(executor_) {}

MeterLink::~MeterLink() { stop(); }

void MeterLink::start() {
  is_started_ = true;
  asio::co_spawn(executor_, run(), [this](std::exception_ptr) { ended_.set_value(); });
}

void MeterLink::stop() {
  if (!std::exchange(is_started_, false)) return;
  stopping_.set();
  ended_.get_future().wait();
}

awaitable<void> MeterLink::run() {
  bool was_connected = true;  // so that the first failure is logged
  while (!stopping_.is_set()) {
    auto telling = tell_all();
    auto stopped = stopping_.wait();
    auto outcome = co_await (std::move(telling) || std::move(stopped));
    if (outcome.index() == 1) co_return;
    const Status& told = std::get<0>(outcome);
    Duration pause = options_.interval;
    if (told) {
      backoff_.reset();
      was_connected = true;
    } else {
      if (std::exchange(was_connected, false)) {
        log_.warn("meter_untold", {kv("reason", told.error().reason), kv("message", told.error().message)});
      }
      pause = backoff_.next();
    }
    const Deadline next = Deadline::after(clock_.mono(), pause);
    if (co_await stopping_.wait_until(next)) co_return;
  }
}

awaitable<Status> MeterLink::tell_all() {
  for (MeterLife& life : meter_lives(own_.path().parent_path())) {
    Status told = co_await tell(std::move(life));
    if (!told) co_return told;
  }
  co_return Status();
}

awaitable<Status> MeterLink::tell(MeterLife life) {
  const bool is_own = life.path == own_.path();
  bool is_more = true;
  while (is_more) {
    Status told = co_await tell_batch(life, is_own, is_more);
    if (!told) co_return told;
  }
  if (!is_own) {
    std::error_code code;
    std::filesystem::remove(life.path, code);
    told_.erase(life.worker_id);
    log_.info("meter_life_told", {kv("worker_id", life.worker_id)});
  }
  co_return Status();
}

awaitable<Status> MeterLink::tell_batch(const MeterLife& life, bool is_own, bool& is_more) {
  v1::WorkerRecordBatch batch;
  batch.set_worker_id(life.worker_id);
  const auto known = told_.find(life.worker_id);
  const std::uint64_t from = known == told_.end() ? 0 : known->second;
  // Read the clock first: what ends meanwhile is in the file, and above the mark.
  const Wall mark = is_own ? own_.covered_until() : Wall();
  if (known != told_.end()) {
    for (const MeterRecord& record : read_records(life.path, from, kBatchRecordsMax)) encode(record, *batch.add_records());
  }
  batch.set_first(from + 1);
  const bool is_full = batch.records_size() == static_cast<int>(kBatchRecordsMax);
  is_more = known == told_.end() || is_full;  // the first call only asks how far billing is
  if (!is_more) {
    batch.set_covered_until_us(is_own ? unix_micros(mark) : 0);
    batch.set_is_ended(!is_own);
  }
  metrics_.meter_backlog.set(batch.records_size());
  using Async = class v1::WorkerMeter::Stub::async;
  const Deadline deadline = Deadline::after(clock_.mono(), options_.call_limit);
  auto answer = co_await client_.call(&Async::SubmitRecords, std::move(batch), deadline);
  if (!answer) {
    if (answer.error().reason == "sequence_gap") told_.erase(life.worker_id);  // billing knows less than it once said
    co_return fail(answer.error());
  }
  told_[life.worker_id] = answer->applied_through();
  co_return Status();
}

}  // namespace tidegate::worker
