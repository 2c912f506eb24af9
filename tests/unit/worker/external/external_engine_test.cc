#include "worker/external/external_engine.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>

#include "tests/support/eventually.h"
#include "tests/support/log_capture.h"
#include "tests/support/worker/fake_openai_server.h"
#include "tests/unit/worker/host/fake_sink.h"
#include "worker/host/engine_thread.h"

namespace tidegate::worker::external::external_engine_test {
namespace {

using namespace std::chrono_literals;
using test::eventually;
using test::OpenAiAnswer;
using Server = test::FakeOpenAiServer;

/// What one sequence said, with the rules of every engine's events checked.
struct Heard {
  std::string reasoning, content;
  ToolCallDeltas calls;
  SequenceUsage usage;
  std::optional<FinishReason> finish;
  std::string stop_text;
  Error error;
  bool accepted = false;
};

class ExternalEngineTest : public testing::Test {
 protected:
  ExternalOptions options() const {
    ExternalOptions options;
    options.upstream.url = server.url();
    options.upstream.api_key = "sk-theirs";
    options.model = "their-model";
    options.kind = EngineKind::kVllm;
    options.sequences_max = 4;
    options.probe_every = 10ms;
    options.start_limit = 10s;
    return options;
  }
  /// The next answer says nothing more after so many events, and stays open. They come in one piece: a server that
  /// stands still between two of them would be given up before it has said what the test is about.
  void stall_next_after(std::size_t events) {
    OpenAiAnswer stalled = Server::plain(7, 4);
    stalled.events.resize(events);
    stalled.events = {fmt::format("{}", fmt::join(stalled.events, "\n\ndata: "))};
    stalled.end = OpenAiAnswer::End::kStall;
    server.answer_next(std::move(stalled));
  }
  std::unique_ptr<ExternalEngine> open(const ExternalOptions& with) {
    auto engine = ExternalEngine::open(with, metrics, clock, log);
    EXPECT_TRUE(engine) << engine.error().to_string();
    return engine ? *std::move(engine) : nullptr;
  }
  std::unique_ptr<ExternalEngine> open() { return open(options()); }

  /// An engine that is not healthy within the start limit is not opened. After this it is healthy.
  void expect_not_ready_in_time() {
    server.is_healthy = false;
    ExternalOptions hasty = options();
    hasty.start_limit = 20ms;
    const auto late = ExternalEngine::open(hasty, metrics, clock, log);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().reason, "upstream_not_ready");
    server.is_healthy = true;
  }

  static GenerateRequest asking(SequenceHandle handle, std::string text = "write of the moon", std::int32_t max_tokens = 100) {
    GenerateRequest request;
    request.handle = handle;
    request.messages = {{Role::kUser, std::move(text)}};
    request.sampling.max_tokens = max_tokens;
    return request;
  }

  void take(ExternalEngine& engine) {
    for (SequenceEvent& event : engine.step()) {
      Heard& to = heard[event.handle];
      EXPECT_FALSE(to.finish) << "an event after the last one";
      EXPECT_GE(event.usage.completion_tokens, to.usage.completion_tokens);
      EXPECT_GE(event.usage.prompt_tokens, to.usage.prompt_tokens);
      EXPECT_LE(event.usage.reasoning_tokens, event.usage.completion_tokens);
      to.accepted = to.accepted || event.accepted;
      to.reasoning += event.reasoning;
      to.content += event.content;
      append_calls(to.calls, std::move(event.tool_calls));
      to.usage = event.usage;
      to.finish = event.finish;
      to.stop_text = event.stop_text;
      to.error = event.error;
    }
  }
  /// Steps as a host does until the sequence has ended.
  const Heard& finish(ExternalEngine& engine, SequenceHandle handle) {
    EXPECT_TRUE(eventually([&] {
      take(engine);
      return heard[handle].finish.has_value();
    }));
    return heard[handle];
  }
  const Heard& answer(OpenAiAnswer with) {
    server.answer_next(std::move(with));
    engine_ = open();
    EXPECT_TRUE(engine_->submit(asking(1)));
    return finish(*engine_, 1);
  }
  double ended(const std::string& end) const { return registry.value("tidegate_worker_external_requests_total", {{"end", end}}); }
  double checked(const std::string& verdict) const {
    return registry.value("tidegate_worker_external_usage_checks_total", {{"verdict", verdict}});
  }

  Server server;
  SystemClock clock;
  test::LogCapture log;
  MemoryRegistry registry;
  ExternalMetrics metrics{registry};
  std::map<SequenceHandle, Heard> heard;
  std::unique_ptr<ExternalEngine> engine_;
};

TEST_F(ExternalEngineTest, NamesWhatNobodyHereHasSeen) {
  const auto engine = open();
  EXPECT_EQ(engine->facts().engine, "external");
  EXPECT_EQ(engine->facts().weights_digest, "external:vllm:their-model");
  EXPECT_EQ(engine->facts().context_max, 2048) << "as its list of models says";
  EXPECT_EQ(registry.value("tidegate_worker_external_up"), 1);
}

TEST_F(ExternalEngineTest, AnswersAndBillsWhatTheEngineSaysWhenOurCountAgrees) {
  const Heard& said = answer(Server::plain(7, 4));
  EXPECT_TRUE(said.accepted);
  EXPECT_EQ(said.content, "moon over water");
  EXPECT_EQ(said.finish, FinishReason::kStop);
  EXPECT_EQ(said.usage.prompt_tokens, 7);
  EXPECT_EQ(said.usage.completion_tokens, 4);
  EXPECT_EQ(checked("agrees"), 1);
  EXPECT_EQ(ended("done"), 1);
  const auto asked = server.asked();
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_EQ(asked[0].path, "/v1/chat/completions");
  EXPECT_EQ(asked[0].authorization, "Bearer sk-theirs");
  EXPECT_FALSE(log.mentions("sk-theirs"));
}

TEST_F(ExternalEngineTest, ALyingUsageIsCaughtAndTheSmallerIsBilled) {
  const Heard& said = answer(Server::plain(7, 4000));
  EXPECT_EQ(said.finish, FinishReason::kStop);
  EXPECT_EQ(said.usage.completion_tokens, 15) << "a token a byte, at most";
  EXPECT_EQ(checked("over"), 1);
  EXPECT_TRUE(log.has("external_usage_disagrees"));
  EXPECT_FALSE(log.mentions("moon")) << "never what was said";
}

TEST_F(ExternalEngineTest, AMissingUsageIsCountedByUsAndMarked) {
  OpenAiAnswer without = Server::plain(7, 4);
  std::erase(without.events, Server::usage(7, 4));
  std::erase(without.events, Server::usage(7, 0));
  const Heard& said = answer(std::move(without));
  EXPECT_EQ(said.finish, FinishReason::kStop);
  EXPECT_EQ(said.usage.completion_tokens, 2) << "fifteen bytes, eight a token";
  EXPECT_GE(said.usage.prompt_tokens, 1);
  EXPECT_EQ(checked("missing"), 1);
}

TEST_F(ExternalEngineTest, APromptThatIsOnlyToldAtTheEndIsBilledAsWeCount) {
  OpenAiAnswer late;
  late.events = {Server::delta(R"("content":"moon")")};
  late.end = OpenAiAnswer::End::kStall;
  server.answer_next(std::move(late));
  const auto engine = open();
  ASSERT_TRUE(engine->submit(asking(1)));
  ASSERT_TRUE(eventually([&] {
    take(*engine);
    return heard[1].content == "moon";
  }));
  EXPECT_TRUE(heard[1].accepted);
  EXPECT_EQ(heard[1].usage.prompt_tokens, 3) << "seventeen bytes, eight a token; what comes later changes nothing";
}

TEST_F(ExternalEngineTest, CachedTokensAreTheEnginesWord) {
  OpenAiAnswer cached = Server::plain(40, 4);
  std::ranges::replace(cached.events, Server::usage(40, 4), Server::usage(40, 4, 32));
  EXPECT_EQ(answer(std::move(cached)).usage.cached_tokens, 32);
}

TEST_F(ExternalEngineTest, EveryFailureHasAnEndOfItsOwn) {
  const auto reason_of = [this](OpenAiAnswer with) {
    heard.clear();
    const Heard& said = answer(std::move(with));
    EXPECT_EQ(said.finish, FinishReason::kError);
    return said.error.reason;
  };
  OpenAiAnswer cut = Server::plain(7, 4);
  cut.events.resize(2);
  cut.end = OpenAiAnswer::End::kCut;
  EXPECT_EQ(reason_of(cut), "upstream_cut");
  OpenAiAnswer ended_early = cut;
  ended_early.end = OpenAiAnswer::End::kWhole;
  EXPECT_EQ(reason_of(ended_early), "upstream_cut") << "also when the connection ends in order";
  EXPECT_EQ(reason_of({.status = 429}), "upstream_busy");
  EXPECT_EQ(reason_of({.status = 503}), "upstream_busy");
  EXPECT_EQ(reason_of({.status = 500}), "upstream_failed");
  EXPECT_EQ(reason_of({.status = 400, .body = R"({"error":{"message":"too long"}})"}), "upstream_refused");
  EXPECT_FALSE(log.mentions("too long")) << "an engine's words may be the client's own";
  EXPECT_EQ(reason_of({.status = 302, .headers = {{"Location", "http://127.0.0.1:1/"}}}), "upstream_redirected");
  EXPECT_EQ(reason_of({.events = {"{"}}), "upstream_malformed");
  EXPECT_EQ(ended("cut"), 2);
  EXPECT_EQ(ended("busy"), 2);
}

TEST_F(ExternalEngineTest, WhereTheEngineIsStandsInTheLogAndNotInTheAnswer) {
  OpenAiAnswer nothing;
  nothing.end = OpenAiAnswer::End::kCut;
  const Heard& said = answer(std::move(nothing));
  EXPECT_EQ(said.error.reason, "upstream_unreachable");
  EXPECT_EQ(said.error.message.find("127.0.0.1"), std::string::npos) << said.error.message;
  EXPECT_TRUE(log.mentions("127.0.0.1"));
}

TEST_F(ExternalEngineTest, AFinishedAnswerThatIsCutBeforeItsUsageIsWhole) {
  OpenAiAnswer cut = Server::plain(7, 4);
  std::erase(cut.events, Server::usage(7, 0));
  cut.events.resize(4);
  cut.end = OpenAiAnswer::End::kCut;
  const Heard& said = answer(std::move(cut));
  EXPECT_EQ(said.finish, FinishReason::kStop);
  EXPECT_EQ(said.content, "moon over water");
  EXPECT_EQ(checked("missing"), 1);
}

TEST_F(ExternalEngineTest, ASilentEngineIsGivenUp) {
  stall_next_after(2);
  ExternalOptions impatient = options();
  impatient.silence_limit = 50ms;
  const auto engine = open(impatient);
  ASSERT_TRUE(engine->submit(asking(1)));
  EXPECT_EQ(finish(*engine, 1).error.reason, "upstream_timeout");
  EXPECT_TRUE(eventually([&] { return server.clients_gone == 1; }));
}

TEST_F(ExternalEngineTest, AFinishedAnswerWhoseStreamStallsIsWhole) {
  stall_next_after(5);
  ExternalOptions impatient = options();
  impatient.silence_limit = 1s;
  const auto engine = open(impatient);
  ASSERT_TRUE(engine->submit(asking(1)));
  const Heard& said = finish(*engine, 1);
  EXPECT_EQ(said.finish, FinishReason::kStop) << said.error.to_string();
  EXPECT_EQ(said.content, "moon over water");
  EXPECT_EQ(ended("done"), 1);
}

TEST_F(ExternalEngineTest, ACancelClosesTheConnectionWithTheNextStep) {
  stall_next_after(4);
  const auto engine = open();
  ASSERT_TRUE(engine->submit(asking(1)));
  ASSERT_TRUE(eventually([&] {
    take(*engine);
    return heard[1].content == "moon over";
  }));
  engine->cancel(1);
  take(*engine);
  EXPECT_EQ(heard[1].finish, FinishReason::kCancelled);
  EXPECT_TRUE(engine->idle());
  EXPECT_TRUE(eventually([&] { return server.clients_gone == 1; }));
  EXPECT_TRUE(eventually([&] { return ended("cancelled") == 1; }));
}

TEST_F(ExternalEngineTest, AnEngineThatOverrunsItsLimitIsStopped) {
  OpenAiAnswer endless;
  for (int i = 0; i < 500; ++i) endless.events.push_back(Server::delta(R"("content":"0123456789abcdef")"));
  server.answer_next(std::move(endless));
  const auto engine = open();
  ASSERT_TRUE(engine->submit(asking(1, "go", 10)));
  const Heard& said = finish(*engine, 1);
  EXPECT_EQ(said.finish, FinishReason::kLength);
  EXPECT_EQ(said.usage.completion_tokens, 10);
}

TEST_F(ExternalEngineTest, NoMoreAreAskedAtOnceThanThereArePlaces) {
  for (int i = 0; i < 4; ++i) {
    OpenAiAnswer stalled;
    stalled.end = OpenAiAnswer::End::kStall;
    server.answer_next(std::move(stalled));
  }
  const auto engine = open();
  for (SequenceHandle handle = 1; handle <= 5; ++handle) ASSERT_TRUE(engine->submit(asking(handle)));
  ASSERT_TRUE(eventually([&] {
    take(*engine);
    return server.asked().size() == 4;
  }));
  EXPECT_EQ(engine->load().sequences_waiting, 1);
  engine->cancel(2);
  EXPECT_EQ(finish(*engine, 5).finish, FinishReason::kStop);
}

TEST_F(ExternalEngineTest, AnEngineThatIsDownRefusesAtOnceAndComesBack) {
  std::atomic<int> changes = 0;
  const auto engine = open();
  engine->watch_health([&](bool, const std::string&) { ++changes; });
  server.is_healthy = false;
  ASSERT_TRUE(eventually([&] { return changes == 1; }));
  const Status refused = engine->submit(asking(1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "upstream_down");
  EXPECT_EQ(registry.value("tidegate_worker_external_up"), 0);
  server.is_healthy = true;
  ASSERT_TRUE(eventually([&] { return changes == 2; }));
  EXPECT_TRUE(engine->submit(asking(1)));
}

TEST_F(ExternalEngineTest, WithoutAHealthPageTheListOfModelsSays) {
  server.has_health_page = false;
  EXPECT_NE(open(), nullptr);
}

TEST_F(ExternalEngineTest, BehindAProxyTheHealthIsTheEnginesAndNotTheProxys) {
  server.base = "/engines/a";
  expect_not_ready_in_time();
  EXPECT_NE(open(), nullptr);
}

TEST_F(ExternalEngineTest, AnEngineElsewhereWithoutTlsIsWarnedOfOnce) {
  EXPECT_NE(open(), nullptr);
  ExternalOptions with = options();
  with.upstream.connect_limit = 20ms;
  with.start_limit = 0ms;
  for (const char* near : {"http://localhost:1/v1", "http://[::1]:1/v1", "http://127.9.9.9:1/v1"}) {
    with.upstream.url = near;
    EXPECT_FALSE(ExternalEngine::open(with, metrics, clock, log));
  }
  EXPECT_FALSE(log.has("external_plain_http")) << "nothing leaves this machine";
  with.upstream.url = "http://0.0.0.0:1/v1";  // not a loopback address, though nothing leaves for it
  EXPECT_FALSE(ExternalEngine::open(with, metrics, clock, log));
  EXPECT_EQ(log.count("external_plain_http"), 1u);
  EXPECT_TRUE(log.mentions("0.0.0.0"));
}

TEST_F(ExternalEngineTest, AStartWaitsNoLongerThanItsLimitAndNamesWhatIsMissing) {
  expect_not_ready_in_time();
  ExternalOptions wrong = options();
  wrong.model = "other";
  const auto unknown = ExternalEngine::open(wrong, metrics, clock, log);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().reason, "upstream_no_model");
  EXPECT_NE(unknown.error().message.find("their-model"), std::string::npos);
}

TEST_F(ExternalEngineTest, AnAddressThatIsNoneIsRefusedBeforeAnythingIsAsked) {
  for (const char* url : {"", "ftp://host/v1", "http://user@host/v1", "http://host/v1?key=1", "http://host/v1#x", "http://ho st/v1",
                          "https://host/v1"}) {
    ExternalOptions wrong = options();
    wrong.upstream.url = url;
    const auto engine = ExternalEngine::open(wrong, metrics, clock, log);
    ASSERT_FALSE(engine) << url;
    EXPECT_EQ(engine.error().reason, "bad_config") << url;
  }
  ExternalOptions wrong = options();
  wrong.upstream.api_key = "two\r\nlines";
  EXPECT_EQ(ExternalEngine::open(wrong, metrics, clock, log).error().field, "external.api_key_file");
}

TEST_F(ExternalEngineTest, WakesTheHostThatSleeps) {
  WorkerMetrics worker_metrics(registry);
  EngineThread thread(open(), clock, worker_metrics, log, {});
  const auto sink = std::make_shared<FakeSink>();
  thread.post_always([sink](EngineHost& host, Mono) { host.attach(1, sink); });
  ASSERT_TRUE(eventually([&] { return sink->credits() > 0; }));
  ASSERT_TRUE(thread.post([](EngineHost& host, Mono now) {
    StartCommand command;
    command.sequence = 1;
    command.messages = {{Role::kUser, "hello"}};
    command.budget = 60s;
    host.start(1, std::move(command), now);
  }));
  ASSERT_TRUE(eventually([&] { return sink->finished(1); }));
  EXPECT_EQ(sink->events_of(1).back().finish, FinishReason::kStop);
}

}  // namespace
}  // namespace tidegate::worker::external::external_engine_test
