// The worker spoken to as a gateway speaks to it, by the same plan as tidegate-load: what a gateway in between cannot
// be faster than. Prints the same figures.
//
//   tidegate-bench-session --plan=PLAN.json --worker=HOST:PORT --cluster_token_file=FILE [--max_tokens=64]
//
// Of the plan it takes phases, spacing, seed, stream and drain_max_ms; open loop only. Without `stream` an answer's
// first byte is its last event, as it is for a client that waits for the whole answer.
#include <fmt/format.h>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <cstdio>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/core/clock.h"
#include "base/core/config.h"
#include "base/net/io_threads.h"
#include "base/net/timer.h"
#include "base/rpc/channel.h"
#include "base/rpc/client.h"
#include "bench/load/arrivals.h"
#include "bench/load/load_plan.h"
#include "bench/load/recorder.h"
#include "tidegate/v1/worker.grpc.pb.h"

namespace tidegate::bench {
namespace {

using namespace asio::experimental::awaitable_operators;

constexpr Duration kHelloWithin = std::chrono::seconds(5);
constexpr Duration kLookEvery = std::chrono::milliseconds(5);
constexpr std::int64_t kBudgetMs = 600'000;
constexpr std::size_t kFramesWaitingMax = 64;

struct Options {
  std::string plan;
  std::string worker;
  std::string cluster_token;
  std::int64_t max_tokens = 64;
};

/// As a gateway does: the starts of one busy moment leave as one message.
bool merge_starts(v1::GatewayFrame& last, v1::GatewayFrame& next) {
  for (v1::StartSequence& start : *next.mutable_start()) *last.add_start() = std::move(start);
  return true;
}

class DirectRun {
 public:
  DirectRun(const LoadPlan& plan, const Options& options, const Clock& clock, std::vector<Arrival> arrivals,
            std::shared_ptr<rpc::Channel> channel)
      : plan_(plan), options_(options), clock_(clock), arrivals_(std::move(arrivals)), client_(std::move(channel)) {}

  awaitable<Result<LoadFigures>> run() {
    rpc::StreamOptions<v1::GatewayFrame> options;
    options.queue_max = kFramesWaitingMax;
    options.merge = merge_starts;
    stream_.emplace(client_.open_bidi(&v1::Worker::Stub::async::Session, Deadline::never(), std::move(options)));
    v1::GatewayFrame hello;
    hello.mutable_hello()->set_gateway_id("bench-session");
    TG_CO_TRY(stream_->write(std::move(hello)));
    const Deadline greeted = Deadline::after(clock_.mono(), kHelloWithin);
    auto first = co_await stream_->read(greeted);
    if (!first) co_return fail(std::move(first).error());
    if (!*first) co_return fail(Code::kUnavailable, "worker_ended", "the worker ended the session at once");
    on_frame(**first);
    began_ = clock_.mono();
    recorder_.emplace(plan_, began_);
    auto driving = drive();
    auto listening = listen();
    auto outcome = co_await (std::move(driving) || std::move(listening));
    stream_.reset();
    if (outcome.index() == 1) co_return fail(problem_);
    for (const auto& [sequence, exchange] : running_) recorder_->on_unfinished(exchange.ask);
    for (const Ask& ask : waiting_) recorder_->on_unfinished(ask);
    co_return recorder_->take();
  }

 private:
  awaitable<void> drive() {
    recorder_->begin_phase(began_);
    std::size_t next = 0;
    Mono end = began_;
    for (std::uint32_t phase = 0; phase < plan_.phases.size(); ++phase) {
      end += plan_.phases[phase].length;
      for (; next < arrivals_.size() && arrivals_[next].phase == phase; ++next) {
        const Mono due = began_ + arrivals_[next].at;
        if (due > clock_.mono()) co_await sleep_until(Deadline::at(due));
        Ask ask;
        ask.due = due;
        ask.phase = phase;
        ask.tenant = arrivals_[next].tenant;
        recorder_->on_due(ask);
        recorder_->on_late(clock_.mono() - due);
        waiting_.push_back(ask);
        start_waiting();
      }
      co_await sleep_until(Deadline::at(end));
      recorder_->end_phase(clock_.mono(), running_.size());
    }
    const Mono give_up = end + plan_.drain_max;
    while ((!running_.empty() || !waiting_.empty()) && clock_.mono() < give_up) co_await sleep_for(kLookEvery);
  }

  awaitable<void> listen() {
    while (true) {
      auto frame = co_await stream_->read();
      if (!frame) {
        problem_ = frame.error();
        co_return;
      }
      if (!*frame) {
        problem_ = Error(Code::kUnavailable, "worker_ended", "the worker ended the session");
        co_return;
      }
      on_frame(**frame);
      start_waiting();
    }
  }

  void start_waiting() {
    v1::GatewayFrame frame;
    for (; !waiting_.empty() && started_ < credits_; waiting_.pop_front()) {
      const std::uint64_t sequence = ++started_;
      v1::StartSequence& start = *frame.add_start();
      start.set_sequence(sequence);
      start.set_cache_salt(std::string(32, 's'));
      v1::ChatMessage& message = *start.add_messages();
      message.set_role("user");
      message.set_content("write a poem about the moon over the tide gate");
      start.mutable_sampling()->set_max_tokens(static_cast<std::int32_t>(options_.max_tokens));
      start.set_budget_ms(kBudgetMs);
      Exchange exchange;
      exchange.ask = waiting_.front();
      exchange.sent = clock_.mono();
      running_.emplace(sequence, exchange);
    }
    if (frame.start_size() == 0) return;
    // A stream that takes nothing is broken; the reading side finds out why.
    const Status sent = stream_->write(std::move(frame));
    if (!sent) stream_->cancel();
  }

  void on_frame(const v1::WorkerFrame& frame) {
    if (frame.credits_total() > credits_) credits_ = frame.credits_total();
    const Mono now = clock_.mono();
    for (const v1::SequenceEvent& event : frame.events()) {
      const auto found = running_.find(event.sequence());
      if (found == running_.end()) continue;
      Exchange& exchange = found->second;
      if (!event.content().empty() || !event.reasoning().empty()) {
        const bool is_first = exchange.first_token == Mono{};
        recorder_->on_token(is_first ? Duration(-1) : now - exchange.last_token);
        if (is_first) exchange.first_token = now;
        exchange.last_token = now;
      }
      if (event.finish() == v1::FINISH_REASON_UNSPECIFIED) continue;
      if (event.finish() == v1::FINISH_REASON_STOP || event.finish() == v1::FINISH_REASON_LENGTH) {
        if (!plan_.is_stream) exchange.first_token = now;
        exchange.first_byte = exchange.first_token == Mono{} ? now : exchange.first_token;
        recorder_->on_answered(exchange, now, event.usage().completion_tokens());
      } else {
        recorder_->on_failed(exchange.ask, 0);
      }
      running_.erase(found);
    }
  }

  const LoadPlan& plan_;
  const Options& options_;
  const Clock& clock_;
  const std::vector<Arrival> arrivals_;
  rpc::Client<v1::Worker> client_;
  std::optional<rpc::BidiClient<v1::GatewayFrame, v1::WorkerFrame>> stream_;
  std::optional<Recorder> recorder_;
  Mono began_{};
  std::deque<Ask> waiting_;  // due, without a credit
  std::unordered_map<std::uint64_t, Exchange> running_;
  std::uint64_t credits_ = 0;
  std::uint64_t started_ = 0;
  Error problem_;
};

Status run(int argc, char** argv) {
  Options options;
  ConfigTable table("tidegate-bench-session");
  table.text("plan", options.plan, "Load plan (bench/load/README.md).");
  table.required();
  table.text("worker", options.worker, "Address of the worker.");
  table.required();
  table.secret_file("cluster_token_file", options.cluster_token, "Token that gateways and workers share.");
  table.required();
  table.integer("max_tokens", options.max_tokens, 1, 1'000'000, "Length of an answer.");
  TG_TRY(table.parse(argc, argv));
  TG_ASSIGN(const LoadPlan plan, read_load_plan(options.plan));
  if (plan.clients > 0)
    return fail(Code::kInvalidArgument, "bad_plan", "open loop only: leave 'clients' out", "clients");
  TG_ASSIGN(auto arrivals, plan_arrivals(plan.phases, plan.spacing, plan.seed));
  const SystemClock clock;
  IoThreads threads(1, "session");
  rpc::ChannelOptions channel_options;
  channel_options.token = options.cluster_token;
  TG_ASSIGN(auto channel, rpc::make_channel(options.worker, channel_options));
  DirectRun direct(plan, options, clock, std::move(arrivals), channel);
  const auto work = [&direct] { return direct.run(); };
  auto figures = threads.run_on(0, work);
  channel->shut();
  if (!figures) return fail(std::move(figures).error());
  fmt::print("{}\n", render_figures(*figures));
  return {};
}

}  // namespace
}  // namespace tidegate::bench

int main(int argc, char** argv) {
  const auto status = tidegate::bench::run(argc, argv);
  if (status) return 0;
  fmt::print(stderr, "tidegate-bench-session: {}\n", status.error().to_string());
  return 1;
}
