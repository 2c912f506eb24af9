#include "gateway/dispatch/worker_session.h"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <utility>

#include "base/core/check.h"
#include "base/rpc/tls.h"
#include "gateway/dispatch/session_codec.h"

namespace tidegate::gateway {
namespace {

/// Fairness hears of output in pieces of this many tokens: no map look-up per token, and a drain rate that a few slow
/// sequences do not make jump.
constexpr std::int64_t kToldStepTokens = 8;
/// Each waiting frame is up to kFrameBytesMax; a worker that leaves this many unread is as good as gone.
constexpr std::size_t kFramesWaitingMax = 64;

/// The request's own fault, its time that was up or the client's wish say nothing about the worker.
SequenceFate fate_of(const SequenceDelta& delta) {
  const Code code = delta.error.code;
  const bool is_workers = code == Code::kInternal || code == Code::kUnavailable || code == Code::kUnknown;
  return delta.end == SequenceEnd::kError && is_workers ? SequenceFate::kWorkerFailed : SequenceFate::kAnswered;
}

}  // namespace

WorkerSession::WorkerSession(std::uint64_t number, const SessionOptions& options, Route route, SessionOwner& owner,
                             PoolMetrics& metrics, const Clock& clock, Log& log, Executor executor)
    : number_(number),
      options_(options),
      route_(std::move(route)),
      pool_{route_.model, route_.region, route_.pool, route_.context_max},
      owner_(owner),
      metrics_(metrics),
      clock_(clock),
      log_(log),
      backoff_(options.reconnect_least, options.reconnect_most, std::hash<std::string>()(route_.worker_id) + options.thread),
      is_draining_(route_.draining),
      wake_(executor),
      executor_(std::move(executor)) {}

WorkerSession::~WorkerSession() { TG_CHECK(running_.empty()); }

awaitable<void> WorkerSession::run() {
  const auto self = shared_from_this();
  rpc::ChannelOptions channel_options;
  channel_options.token = options_.cluster_token;
  channel_options.tls = options_.tls;
  channel_options.peer_role = rpc::kWorkerRole;
  auto channel = rpc::make_channel(route_.address, channel_options);
  if (!channel) {
    log_.error("session_bad_address", {kv("worker", route_.worker_id), kv("error", channel.error().to_string())});
    co_return;
  }
  rpc::Client<v1::Worker> client(*std::move(channel));
  while (!is_stopped_ && !is_retired_) {
    rpc::StreamOptions<v1::GatewayFrame> stream_options;
    stream_options.queue_max = kFramesWaitingMax;
    stream_options.merge = merge_frames;
    stream_.emplace(client.open_bidi(&v1::Worker::Stub::async::Session, Deadline::never(), std::move(stream_options)));
    const Status ended = co_await serve_stream();
    const bool was_open = is_greeted_;
    const bool was_let_go = std::exchange(is_let_go_, false);
    lose_all();
    if (is_stopped_ || is_retired_) break;
    if (was_let_go) continue;  // revived meanwhile: nothing was lost
    if (was_open) {
      backoff_.reset();
      metrics_.workers_lost->add();
      log_.warn("session_broken", {kv("worker", route_.worker_id), kv("thread", options_.thread),
                                   kv("error", ended ? "ended" : ended.error().to_string())});
      refusals_in_a_row_ = 0;
    } else if (refusals_in_a_row_++ == 0) {
      log_.warn("session_refused", {kv("worker", route_.worker_id), kv("thread", options_.thread),
                                    kv("error", ended ? "ended" : ended.error().to_string())});
    }
    co_await wake_.wait_until(Deadline::after(clock_.mono(), backoff_.next()));
  }
  lose_all();
}

awaitable<Status> WorkerSession::serve_stream() {
  v1::GatewayFrame hello;
  hello.mutable_hello()->set_gateway_id(options_.gateway_id);
  hello.mutable_hello()->set_epoch(options_.epoch);
  hello.mutable_hello()->set_thread(options_.thread);
  if (const Status sent = stream_->write(std::move(hello)); !sent) co_return sent;
  auto first = co_await stream_->read(Deadline::after(clock_.mono(), options_.hello_timeout));
  if (!first) co_return fail(std::move(first).error());
  if (!*first) co_return Status();
  if (const Status greeted = greet(**first); !greeted) co_return greeted;
  on_frame(std::move(**first));
  while (true) {
    auto frame = co_await stream_->read();
    if (!frame) co_return fail(std::move(frame).error());
    if (!*frame) co_return Status();
    on_frame(std::move(**frame));
    if (is_stopped_ || (is_retired_ && !has_work())) co_return Status();
  }
}

Status WorkerSession::greet(const v1::WorkerFrame& frame) {
  const v1::WorkerHello& hello = frame.hello();
  // An address can be reused by another worker before the routes say so: its answers would be priced as this one's.
  if (hello.worker_id() != route_.worker_id || hello.model() != route_.model) {
    return fail(Code::kFailedPrecondition, "wrong_worker", "another worker answers at this address");
  }
  facts_ = {hello.worker_id(), hello.variant(), hello.weights_digest(), hello.engine()};
  is_greeted_ = true;
  credits_total_ = 0;
  load_.reset();
  pace_.told(hello.prefill_tokens_per_second());
  kv_tokens_total_ = hello.kv_tokens_total();
  sequences_max_ = hello.sequences_max();
  abilities_ = decode_abilities(hello);
  opened_at_ = clock_.mono();
  owner_.on_opened(*this);
  log_.info("session_open", {kv("worker", route_.worker_id), kv("model", route_.model), kv("variant", facts_.variant),
                             kv("thread", options_.thread)});
  return {};
}

void WorkerSession::on_frame(v1::WorkerFrame frame) {
  const std::int64_t places_before = places();
  WorkerLoad::Report report;
  report.tokens_queued = frame.tokens_queued();
  report.tokens_prefilling = frame.tokens_prefilling();
  report.sequences_running = frame.sequences_running();
  report.starts_seen = frame.starts_seen();
  load_.report(report, clock_.mono());
  owner_.on_heard(*this);
  is_draining_ = is_draining_ || frame.draining();
  for (auto& event : *frame.mutable_events()) on_event(std::move(event));
  const bool grew = frame.credits_total() > credits_total_;
  if (grew) credits_total_ = frame.credits_total();
  publish();
  if (grew || places() > places_before) owner_.on_capacity();
}

void WorkerSession::on_event(v1::SequenceEvent&& event) {
  const auto found = running_.find(event.sequence());
  if (found == running_.end()) return on_counted(std::move(event));  // or cancelled meanwhile
  SequenceDelta delta = decode_event(std::move(event));
  Running& running = found->second;
  const DispatchTicket ticket = running.ticket;
  load_.release(running.start);
  if (delta.accepted) {
    // A wrong belief in the worker's cache must not look like a slow worker.
    const std::int64_t counted = delta.usage.prompt - delta.usage.cached;
    running.tokens_before += counted - std::exchange(running.tokens, counted);
    owner_.on_accepted(ticket, delta.usage);
  }
  if (delta.usage.completion > 0) note_output(running);
  // An event of a failure may have lost count: what was made was made.
  const std::int64_t completion = std::max(delta.usage.completion, running.tokens_told);
  const std::int64_t fresh = completion - running.tokens_told;
  const bool is_first = running.tokens_told == 0 && fresh > 0;  // tells how long a prefill takes
  if (fresh >= kToldStepTokens || is_first || delta.end) {
    owner_.on_tokens(ticket, completion);
    running.tokens_told = completion;
  }
  const bool is_last = delta.end.has_value();
  SequenceListener& listener = *running.listener;
  if (is_last) {
    sequence_of_.erase(ticket);
    running_.erase(found);
    owner_.on_over(ticket, fate_of(delta));
  }
  listener.on_delta(std::move(delta));
}

void WorkerSession::on_counted(v1::SequenceEvent&& event) {
  const auto found = counts_.find(event.sequence());
  if (found == counts_.end()) return;
  const std::shared_ptr<PromptCount> count = std::move(found->second);
  counts_.erase(found);
  const SequenceDelta delta = decode_event(std::move(event));
  if (delta.end == SequenceEnd::kStop && delta.usage.prompt > 0) {
    count->prompt_tokens = delta.usage.prompt;
  } else if (delta.end == SequenceEnd::kError) {
    count->prompt_tokens = fail(delta.error);
  } else {
    count->prompt_tokens = fail(Code::kInternal, "usage_lost", "the worker did not count the prompt");
  }
  count->done.notify();
}

std::shared_ptr<PromptCount> WorkerSession::count(const Plan& plan) {
  TG_CHECK(is_serving());
  const std::uint64_t sequence = next_sequence_++;
  auto count = std::make_shared<PromptCount>(executor_);
  counts_.emplace(sequence, count);
  v1::StartSequence prompt = encode_count(sequence, plan);
  const std::size_t bytes = prompt.ByteSizeLong();
  *frame_for(bytes).add_count() = std::move(prompt);
  return count;
}

bool WorkerSession::has_work() const {
  if (!running_.empty()) return true;
  // Whoever waited for the others has gone, and a worker that never counts them must not keep the session.
  return std::any_of(counts_.begin(), counts_.end(), [](const auto& entry) { return entry.second.use_count() > 1; });
}

void WorkerSession::note_output(Running& running) {
  if (std::exchange(running.has_output, true)) return;
  pace_.observe(running.tokens_before, clock_.mono() - running.began);
  owner_.on_output(running.ticket);
}

void WorkerSession::retire() {
  is_retired_ = true;
  publish();
  wake_.notify();
  end_if_done();
}

void WorkerSession::end_if_done() {
  if (is_retired_ && !has_work()) let_go();
}

void WorkerSession::revive(const Route& route) {
  TG_CHECK(has_pool_of(route));
  is_retired_ = false;
  is_draining_ = route.draining;
  route_ = route;
  pool_.context_max = route.context_max;
  publish();
}

void WorkerSession::stop() {
  is_stopped_ = true;
  wake_.notify();
  if (stream_) stream_->cancel();
}

void WorkerSession::begin(DispatchTicket ticket, const SequenceRequest& request, std::string_view salt,
                          SequenceListener& listener, std::int64_t tokens) {
  TG_CHECK(can_take());
  const std::uint64_t sequence = next_sequence_++;
  v1::StartSequence start = encode_start(sequence, request, salt, request.deadline.remaining(clock_.mono()));
  const std::size_t bytes = start.ByteSizeLong();
  *frame_for(bytes).add_start() = std::move(start);
  Running running;
  running.ticket = ticket;
  running.listener = &listener;
  running.began = clock_.mono();
  running.tokens = tokens;
  running.tokens_before = load_.tokens_ahead(running.began, prefill_rate()) + tokens;
  running.start = load_.reserve(tokens);
  running_.emplace(sequence, running);
  sequence_of_.emplace(ticket, sequence);
  publish();
}

void WorkerSession::cancel(DispatchTicket ticket) {
  const auto found = sequence_of_.find(ticket);
  if (found == sequence_of_.end()) return;
  const std::uint64_t sequence = found->second;
  sequence_of_.erase(found);
  const auto running = running_.find(sequence);
  load_.release(running->second.start);
  running_.erase(running);
  frame_for(0).add_cancel(sequence);
  if (is_retired_ && !has_work()) {
    flush();
    let_go();
  }
}

/// A write to gRPC costs more than a start does, and starts come together: a journal's commit, or a frame with credits,
/// lets many requests go on in one turn of the loop. So they leave together, right behind what is ready to run now.
v1::GatewayFrame& WorkerSession::frame_for(std::size_t bytes) {
  if (outgoing_bytes_ > 0 && outgoing_bytes_ + bytes > kFrameBytesMax) flush();
  outgoing_bytes_ += bytes;
  if (!std::exchange(is_flush_posted_, true)) {
    asio::post(executor_, [self = shared_from_this()] {
      self->is_flush_posted_ = false;
      self->flush();
    });
  }
  return outgoing_;
}

void WorkerSession::flush() {
  outgoing_bytes_ = 0;
  if (outgoing_.start().empty() && outgoing_.cancel().empty() && outgoing_.count().empty()) return;
  v1::GatewayFrame frame;
  frame.Swap(&outgoing_);
  // A stream that takes nothing is broken: the reader finds out why and its sequences are lost.
  if (!stream_) return;
  if (const Status sent = stream_->write(std::move(frame)); !sent) stream_->cancel();
}

void WorkerSession::let_go() {
  if (!stream_) return;
  is_let_go_ = true;
  stream_->cancel();
}

void WorkerSession::lose_all() {
  const bool was_open = std::exchange(is_greeted_, false);
  credits_total_ = 0;
  load_.reset();
  is_draining_ = route_.draining;
  publish();
  stream_.reset();
  outgoing_.Clear();  // for sequences that are lost, and the next stream numbers on
  outgoing_bytes_ = 0;
  const auto lost = std::exchange(running_, {});
  sequence_of_.clear();
  for (const auto& [sequence, count] : std::exchange(counts_, {})) {
    count->prompt_tokens = fail(Code::kUnavailable, "worker_lost", "The worker that counted was lost; send it again.");
    count->done.notify();
  }
  if (was_open) owner_.on_broken(*this, !lost.empty() && !is_stopped_);
  for (const auto& [sequence, running] : lost) {
    owner_.on_over(running.ticket, SequenceFate::kLost);
    running.listener->on_worker_lost();
  }
}

std::int64_t WorkerSession::credits() const {
  if (!is_greeted_ || is_retired_ || is_draining_ || is_let_go_) return 0;
  return static_cast<std::int64_t>(credits_total_ - load_.starts());
}

std::int64_t WorkerSession::places() const {
  const std::int64_t most = credits();
  // While nothing of this lane runs there, nothing brings frames: what others ran at the last one is old.
  if (running_.empty()) return most;
  return std::min(most, std::max<std::int64_t>(sequences_max() - load_.sequences(), 0));
}

void WorkerSession::publish() {
  const std::int64_t now = credits();
  if (now != credits_published_) metrics_.credits->add(static_cast<double>(now - credits_published_));
  credits_published_ = now;
  if (open_published_ != is_greeted_) metrics_.sessions->add(is_greeted_ ? 1 : -1);
  open_published_ = is_greeted_;
}

}  // namespace tidegate::gateway
