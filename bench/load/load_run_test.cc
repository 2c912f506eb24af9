#include "bench/load/load_run.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>

#include "base/core/log.h"
#include "base/core/metrics.h"
#include "base/net/http_server.h"
#include "base/net/timer.h"

namespace tidegate::bench {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kEvent = "data: {\"choices\":[{\"delta\":{\"content\":\"moon\"}}]}\n\n";
constexpr std::string_view kDone = "data: [DONE]\n\n";

class NoLog final : public Log {
 public:
  void write(LogLevel, std::string_view, LogFields) override {}
};

/// A server that does what the path says.
class LoadRunTest : public ::testing::Test {
 protected:
  LoadRunTest() {
    handler_ = [this](HttpExchange& exchange) { return handle(exchange); };
    server_ = HttpServer::start(threads_, HttpServerOptions(), handler_, clock_, log_, metrics_).value();
  }
  ~LoadRunTest() override { server_->drain(milliseconds(0)); }

  LoadPlan plan(std::string path, double rate, milliseconds length) const {
    LoadPlan out;
    out.targets.push_back({"127.0.0.1", server_->port()});
    out.path = std::move(path);
    out.body = "{}";
    out.tenants.push_back({"only", "tgk_test"});
    out.phases.push_back({"only", length, {rate}});
    out.spacing = Spacing::kConstant;
    return out;
  }
  LoadFigures run(const LoadPlan& which) const {
    auto figures = run_load(which, clock_);
    EXPECT_TRUE(figures) << figures.error().to_string();
    return figures ? *std::move(figures) : LoadFigures();
  }

  std::atomic<int> asked_ = 0;

 private:
  awaitable<void> handle(HttpExchange& exchange) {
    const std::string path(exchange.request().path);
    const int number = ++asked_;
    if (path == "/slow") co_await sleep_for(milliseconds(50));
    if (path == "/never") co_await sleep_for(std::chrono::seconds(60));
    if (path == "/stream" || path == "/cut") {
      exchange.begin_stream(200, "text/event-stream");
      for (int i = 0; i < 3; ++i) co_await exchange.write(kEvent);
      co_await exchange.end_stream(path == "/stream" ? kDone : std::string_view());
      co_return;
    }
    const bool is_refusal = path == "/refuse" || (path == "/refuse-first" && number == 1);
    HttpResponse response(is_refusal ? 503 : 200, R"({"usage":{"completion_tokens":7}})");
    if (is_refusal) response.headers.emplace_back("Retry-After", "1");
    response.close = path == "/close";
    co_await exchange.respond(std::move(response));
  }

  SystemClock clock_;
  NoLog log_;
  MemoryRegistry metrics_;
  IoThreads threads_{1, "server"};
  HttpHandler handler_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(LoadRunTest, EveryRequestOfThePlanIsSentAndCountedOnce) {
  const LoadFigures figures = run(plan("/ok", 200, milliseconds(500)));
  const PhaseFigures& phase = figures.phases.at(0);
  EXPECT_EQ(phase.due, static_cast<std::uint64_t>(asked_));
  EXPECT_NEAR(static_cast<double>(phase.due), 100, 1);
  EXPECT_EQ(phase.answered, phase.due);
  EXPECT_EQ(phase.whole.count(), phase.due);
  EXPECT_EQ(phase.tenants.at(0).answered, phase.due);
  EXPECT_EQ(phase.failed + phase.refused + phase.unfinished, 0u);
  EXPECT_GE(phase.tokens_told, static_cast<std::int64_t>(7 * phase.due / 2));  // the last ones may end after the phase
}

TEST_F(LoadRunTest, WhatWaitsForASlowServerWaitsInTheFiguresToo) {
  // Twenty requests within 100 ms, one connection, 50 ms each: the last one is done after a second.
  LoadPlan slow = plan("/slow", 200, milliseconds(100));
  slow.connections_max = 1;
  const LoadFigures figures = run(slow);
  const PhaseFigures& phase = figures.phases.at(0);
  EXPECT_EQ(figures.connects, 1u);
  EXPECT_EQ(phase.answered, phase.due);
  EXPECT_GE(phase.whole.max(), milliseconds(850));
  EXPECT_GE(phase.whole.percentile(50), milliseconds(400));
}

TEST_F(LoadRunTest, ARefusedClientComesBackWhenItWasToldTo) {
  LoadPlan one = plan("/refuse-first", 10, milliseconds(100));
  one.retries_max = 1;
  const LoadFigures figures = run(one);
  const PhaseFigures& phase = figures.phases.at(0);
  EXPECT_EQ(phase.refused, 1u);
  EXPECT_EQ(phase.statuses.at(503), 1u);
  EXPECT_EQ(phase.came_back, 1u);
  EXPECT_EQ(phase.admitted_at_once, 1u);
  EXPECT_EQ(phase.told_to_wait.max(), std::chrono::seconds(1));
  EXPECT_EQ(phase.due, 1u) << "coming back is not another request of the plan";
}

TEST_F(LoadRunTest, AClientThatIsRefusedAgainIsNoSuccess) {
  LoadPlan one = plan("/refuse", 10, milliseconds(100));
  one.retries_max = 1;
  const LoadFigures figures = run(one);
  EXPECT_EQ(figures.phases.at(0).came_back, 1u);
  EXPECT_EQ(figures.phases.at(0).admitted_at_once + figures.phases.at(0).admitted_later, 0u);
}

TEST_F(LoadRunTest, TokensOfAStreamAreCountedAndItsEndIsSeen) {
  LoadPlan streams = plan("/stream", 50, milliseconds(200));
  streams.is_stream = true;
  streams.phases.push_back({"after", milliseconds(200), {0}});
  const LoadFigures figures = run(streams);
  const PhaseFigures& phase = figures.phases.at(0);
  EXPECT_EQ(phase.answered, phase.due);
  EXPECT_EQ(phase.token_events + figures.phases.at(1).token_events, 3 * phase.due);
  EXPECT_EQ(phase.first_token.count(), phase.due);
}

TEST_F(LoadRunTest, AStreamWithoutAnEndHasFailed) {
  LoadPlan streams = plan("/cut", 50, milliseconds(100));
  streams.is_stream = true;
  const LoadFigures figures = run(streams);
  EXPECT_EQ(figures.phases.at(0).answered, 0u);
  EXPECT_EQ(figures.phases.at(0).failed, figures.phases.at(0).due);
}

TEST_F(LoadRunTest, AConnectionThatTheServerEndsIsReplaced) {
  const LoadFigures figures = run(plan("/close", 100, milliseconds(200)));
  EXPECT_EQ(figures.phases.at(0).answered, figures.phases.at(0).due);
  EXPECT_EQ(figures.connects, figures.phases.at(0).due);
}

TEST_F(LoadRunTest, AClosedLoopAsksAgainAsSoonAsItIsAnswered) {
  LoadPlan loop = plan("/slow", 0, milliseconds(400));
  loop.clients = 4;
  const LoadFigures figures = run(loop);
  const PhaseFigures& phase = figures.phases.at(0);
  EXPECT_EQ(figures.connects, 4u);
  // Eight rounds of 50 ms at most; a busy machine makes fewer.
  EXPECT_LE(phase.due, 36u);
  EXPECT_GE(phase.due, 8u);
  EXPECT_EQ(phase.answered, phase.due);
}

TEST_F(LoadRunTest, AnAnswerThatNeverComesIsGivenUp) {
  LoadPlan never = plan("/never", 20, milliseconds(100));
  never.answer_max = milliseconds(50);
  const LoadFigures figures = run(never);
  const PhaseFigures& phase = figures.phases.at(0);
  EXPECT_EQ(phase.unfinished, phase.due);
  EXPECT_EQ(phase.answered, 0u);
  EXPECT_EQ(figures.ticks.at(0).slowest_first_token, milliseconds(50));
}

TEST(RunLoad, NothingThatListensIsAFailedRequestAndNoCrash) {
  LoadPlan plan;
  plan.targets.push_back({"127.0.0.1", 1});
  plan.tenants.push_back({"only", ""});
  plan.phases.push_back({"only", milliseconds(100), {20}});
  plan.spacing = Spacing::kConstant;
  const auto figures = run_load(plan, SystemClock());
  ASSERT_TRUE(figures);
  EXPECT_EQ(figures->phases.at(0).failed, figures->phases.at(0).due);
  EXPECT_EQ(figures->phases.at(0).statuses.at(0), figures->phases.at(0).due);
}

}  // namespace
}  // namespace tidegate::bench
