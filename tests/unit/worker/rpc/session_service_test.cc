#include "worker/rpc/session_service.h"

#include <gmock/gmock.h>

#include <atomic>
#include <future>
#include <vector>

#include "base/net/io_threads.h"
#include "base/rpc/client.h"
#include "base/rpc/server.h"
#include "tests/support/eventually.h"
#include "tests/support/log_capture.h"
#include "tests/support/shifted_clock.h"
#include "tests/support/temp_dir.h"
#include "tests/support/worker/fake_engine.h"
#include "worker/engine/grammar/grammar.h"
#include "worker/rpc/frame_codec.h"

namespace tidegate::worker::session_service_test {
namespace {

using namespace std::chrono_literals;
using test::eventually;
using Stream = rpc::BidiClient<v1::GatewayFrame, v1::WorkerFrame>;

class SessionServiceTest : public ::testing::Test {
 protected:
  SessionServiceTest() {
    auto started = rpc::RpcServer::start({.listen = {"unix:" + folder.file("w.sock")}}, {&service});
    server = *std::move(started);
    channel = *rpc::make_channel(server->addresses()[0], {.token = "secret"});
    client.emplace(channel);
  }
  ~SessionServiceTest() override {
    client.reset();
    channel.reset();
    server.reset();
    if (engine) engine->stop();
    io.stop();
    counter.stop();
  }
  FakeEngine& serve() {
    auto fake = std::make_unique<FakeEngine>();
    FakeEngine& raw = *fake;
    engine = std::make_unique<EngineThread>(std::move(fake), clock, metrics, log, EngineThread::Limits{});
    service.serve(*engine, encode_hello({.worker_id = "w1", .model = "m", .region = "local"}, engine->facts(), 4));
    return raw;
  }
  Deadline soon() const { return Deadline::after(clock.mono(), 10s); }
  Stream open() { return client->open_bidi(&v1::Worker::Stub::async::Session, Deadline::never()); }
  Stream greet() {
    Stream stream = open();
    v1::GatewayFrame frame;
    frame.mutable_hello()->set_gateway_id("g1");
    EXPECT_TRUE(stream.write(frame));
    return stream;
  }
  /// A gateway starts nothing before it has a credit.
  Stream greet_and_wait_for_credit() {
    Stream stream = greet();
    const auto item = stream.read_blocking(soon());
    EXPECT_TRUE(item && *item && (*item)->credits_total() > 0);
    return stream;
  }
  static v1::GatewayFrame start_frame(std::uint64_t sequence) {
    v1::GatewayFrame frame;
    auto* start = frame.add_start();
    start->set_sequence(sequence);
    start->set_budget_ms(60'000);
    auto* message = start->add_messages();
    message->set_role("user");
    message->set_content("hello");
    return frame;
  }
  /// Reads until the sequence has finished; returns all its events merged.
  v1::SequenceEvent finish_of(Stream& stream, std::uint64_t sequence) {
    v1::SequenceEvent all;
    while (all.finish() == v1::FINISH_REASON_UNSPECIFIED) {
      auto item = stream.read_blocking(soon());
      if (!item || !*item) {
        ADD_FAILURE() << "stream ended: " << (item ? "OK" : item.error().to_string());
        break;
      }
      for (const auto& event : (*item)->events()) {
        if (event.sequence() != sequence) continue;
        const std::string reasoning = all.reasoning() + event.reasoning();
        const std::string content = all.content() + event.content();
        all.MergeFrom(event);
        all.set_reasoning(reasoning);
        all.set_content(content);
      }
    }
    return all;
  }

  test::ShiftedClock clock;
  test::LogCapture log;
  test::TempDir folder;
  MemoryRegistry registry;
  WorkerMetrics metrics{registry};
  IoThreads io{1};
  IoThreads counter{1, "counter"};
  SessionService service{rpc::AuthGate::required("secret"), io.executor(0),
                         {counter.executor(0), CountGate::create({.prompts_max = 2}, metrics)}, log};
  std::unique_ptr<EngineThread> engine;
  std::unique_ptr<rpc::RpcServer> server;
  std::shared_ptr<rpc::Channel> channel;
  std::optional<rpc::Client<v1::Worker>> client;
};

TEST_F(SessionServiceTest, FirstFrameGreetsAndGrantsCredits) {
  serve();
  Stream stream = greet();
  const auto item = stream.read_blocking(soon());
  ASSERT_TRUE(item && *item);
  EXPECT_EQ((*item)->hello().worker_id(), "w1");
  EXPECT_EQ((*item)->hello().sequences_max(), 16);
  EXPECT_EQ((*item)->hello().term(), 4u);
  EXPECT_EQ((*item)->credits_total(), 18u);
}

TEST_F(SessionServiceTest, SequenceRunsToItsEndOverTheWire) {
  serve();
  Stream stream = greet_and_wait_for_credit();
  ASSERT_TRUE(stream.write(start_frame(5)));
  const auto all = finish_of(stream, 5);
  EXPECT_TRUE(all.accepted());
  EXPECT_EQ(all.reasoning(), "think");
  EXPECT_EQ(all.content(), "answer");
  EXPECT_EQ(all.finish(), v1::FINISH_REASON_STOP);
  EXPECT_EQ(all.usage().completion_tokens(), 2);
}

TEST_F(SessionServiceTest, APromptIsCountedWithoutACreditAndWithoutTheEngine) {
  FakeEngine& fake = serve();
  fake.prompt_counted = 42;
  Stream stream = greet_and_wait_for_credit();
  v1::GatewayFrame frame;
  *frame.add_count() = start_frame(5).start(0);
  ASSERT_TRUE(stream.write(frame));
  const auto counted = finish_of(stream, 5);
  EXPECT_EQ(counted.finish(), v1::FINISH_REASON_STOP);
  EXPECT_EQ(counted.usage().prompt_tokens(), 42);
  ASSERT_TRUE(stream.write(start_frame(7))) << "the credits are all there";
  EXPECT_EQ(finish_of(stream, 7).finish(), v1::FINISH_REASON_STOP);
}

TEST_F(SessionServiceTest, NobodyWaitsForPromptsThatAreOnlyCountedAndTooManyAreRefused) {
  FakeEngine& fake = serve();
  fake.prompt_counted = 42;
  Stream stream = greet_and_wait_for_credit();
  std::promise<void> go;  // as long as it is not kept, the counter reads one long prompt
  counter.post_on(0, [gone = go.get_future().share()] { gone.wait(); });
  v1::GatewayFrame frame;
  for (const std::uint64_t sequence : {5U, 6U, 7U}) *frame.add_count() = start_frame(sequence).start(0);
  ASSERT_TRUE(stream.write(frame));
  const auto refused = finish_of(stream, 7);
  EXPECT_EQ(refused.finish(), v1::FINISH_REASON_ERROR);
  EXPECT_EQ(refused.error_reason(), "counts_full");
  EXPECT_EQ(registry.value("tidegate_worker_counts_waiting"), 2);
  ASSERT_TRUE(stream.write(start_frame(9)));
  EXPECT_EQ(finish_of(stream, 9).finish(), v1::FINISH_REASON_STOP) << "a start waits for none of them";
  go.set_value();
  EXPECT_EQ(finish_of(stream, 6).usage().prompt_tokens(), 42);
  EXPECT_TRUE(eventually([&] { return registry.value("tidegate_worker_counts_waiting") == 0; }));
}

TEST_F(SessionServiceTest, WhatCannotBeCountedSaysWhy) {
  serve();
  Stream stream = greet_and_wait_for_credit();
  v1::GatewayFrame frame;
  frame.add_count()->set_sequence(6);  // no messages
  ASSERT_TRUE(stream.write(frame));
  const auto refused = finish_of(stream, 6);
  EXPECT_EQ(refused.finish(), v1::FINISH_REASON_ERROR);
  EXPECT_EQ(refused.error_field(), "messages");
}

TEST_F(SessionServiceTest, BadStartEndsThatSequenceAndNotTheStream) {
  serve();
  Stream stream = greet_and_wait_for_credit();
  auto bad = start_frame(1);
  bad.mutable_start(0)->mutable_messages(0)->set_role("robot");
  ASSERT_TRUE(stream.write(bad));
  EXPECT_EQ(finish_of(stream, 1).error_field(), "messages[0].role");
  ASSERT_TRUE(stream.write(start_frame(2)));
  EXPECT_EQ(finish_of(stream, 2).finish(), v1::FINISH_REASON_STOP);
}

TEST_F(SessionServiceTest, ASchemaIsCompiledWhereFramesAreReadAndNotByTheEngine) {
  FakeEngine& fake = serve();
  const grammar::Grammar::Pointer made = grammar::Grammar::json_object();
  std::atomic<int> compiled_here = 0;
  fake.on_compile = [&](const ToolOffer& offer) -> Result<grammar::Grammar::Pointer> {
    if (offer.format.kind == ResponseFormat::Kind::kText) return grammar::Grammar::Pointer();
    if (io.is_current(0)) ++compiled_here;
    if (offer.format.kind == ResponseFormat::Kind::kJsonObject) return made;
    return fail(Code::kInvalidArgument, "unsupported_response_format", "not this one", "response_format");
  };
  Stream stream = greet_and_wait_for_credit();
  auto asked = start_frame(1);
  asked.mutable_start(0)->mutable_response_format()->set_kind(v1::ResponseFormat::KIND_JSON_OBJECT);
  ASSERT_TRUE(stream.write(asked));
  EXPECT_EQ(finish_of(stream, 1).finish(), v1::FINISH_REASON_STOP);
  asked = start_frame(2);
  asked.mutable_start(0)->mutable_response_format()->set_kind(v1::ResponseFormat::KIND_JSON_SCHEMA);
  asked.mutable_start(0)->mutable_response_format()->set_schema_json("{}");
  ASSERT_TRUE(stream.write(asked));
  const auto refused = finish_of(stream, 2);
  EXPECT_EQ(refused.finish(), v1::FINISH_REASON_ERROR);
  EXPECT_EQ(refused.error_reason(), "unsupported_response_format");
  EXPECT_EQ(refused.error_field(), "response_format");
  EXPECT_EQ(compiled_here.load(), 2);
  engine->stop();  // what it was given may be looked at
  ASSERT_EQ(fake.submitted.size(), 1u);
  EXPECT_EQ(fake.submitted[0].constraint, made);
}

TEST_F(SessionServiceTest, TextsToEmbedAreEncodedWhereFramesAreReadAndNotByTheEngine) {
  FakeEngine& fake = serve();
  std::atomic<int> encoded_here = 0;
  fake.on_encode = [&](std::vector<EmbedInput>& inputs) -> Status {
    if (io.is_current(0)) ++encoded_here;
    if (inputs.at(0).text == "long") {
      return fail(Code::kInvalidArgument, "context_length_exceeded", "too long", "input[0]");
    }
    inputs.at(0) = {.text = "", .tokens = {1, 2, 3}, .is_encoded = true};
    return {};
  };
  Stream stream = greet_and_wait_for_credit();
  const auto embed_frame = [](std::uint64_t sequence, const char* text) {
    v1::GatewayFrame frame;
    auto* start = frame.add_start();
    start->set_sequence(sequence);
    start->set_budget_ms(60'000);
    start->mutable_embed()->add_inputs()->set_text(text);
    return frame;
  };
  ASSERT_TRUE(stream.write(embed_frame(1, "short")));
  EXPECT_EQ(finish_of(stream, 1).finish(), v1::FINISH_REASON_STOP);
  ASSERT_TRUE(stream.write(embed_frame(2, "long")));
  const auto refused = finish_of(stream, 2);
  EXPECT_EQ(refused.error_reason(), "context_length_exceeded");
  EXPECT_EQ(refused.error_field(), "input[0]");
  EXPECT_EQ(encoded_here.load(), 2);
  engine->stop();  // what it was given may be looked at
  ASSERT_EQ(fake.submitted.size(), 1u);
  EXPECT_EQ(fake.submitted[0].embed.at(0).tokens, (std::vector<TokenId>{1, 2, 3}));
}

TEST_F(SessionServiceTest, ASchemaIsCompiledInTheRequestsTime) {
  FakeEngine& fake = serve();
  fake.on_compile = [&](const ToolOffer&) -> Result<grammar::Grammar::Pointer> {
    clock.shift(61s);
    return grammar::Grammar::Pointer();
  };
  Stream stream = greet_and_wait_for_credit();
  ASSERT_TRUE(stream.write(start_frame(1)));
  const auto late = finish_of(stream, 1);
  EXPECT_EQ(late.finish(), v1::FINISH_REASON_ERROR);
  EXPECT_EQ(late.error_reason(), "budget_spent");
  engine->stop();  // what it was given may be looked at
  EXPECT_TRUE(fake.submitted.empty());
}

TEST_F(SessionServiceTest, BrokenStreamCancelsItsSequences) {
  FakeEngine& fake = serve();
  fake.script = {{"", ""}};  // nothing that would be too much for a gateway that does not read
  fake.is_endless = true;
  {
    Stream stream = greet_and_wait_for_credit();
    ASSERT_TRUE(stream.write(start_frame(1)));
    ASSERT_TRUE(eventually([&] { return engine->load().sequences_running == 1; }));
  }
  EXPECT_TRUE(eventually([&] { return engine->load().sequences_running == 0; }));
  EXPECT_EQ(registry.value("tidegate_worker_sequences_cancelled_total", {{"cause", "session_ended"}}), 1);
}

TEST_F(SessionServiceTest, WithoutTheClusterTokenNothingIsServed) {
  serve();
  auto other = *rpc::make_channel(server->addresses()[0], {.token = "wrong"});
  rpc::Client<v1::Worker> stranger(other);
  auto stream = stranger.open_bidi(&v1::Worker::Stub::async::Session, Deadline::never());
  const auto item = stream.read_blocking(soon());
  ASSERT_FALSE(item);
  EXPECT_EQ(item.error().code, Code::kUnauthenticated);
}

TEST_F(SessionServiceTest, LoadingWorkerSaysSo) {
  Stream stream = open();  // and no greeting: the worker may have ended the stream before one can be written
  const auto item = stream.read_blocking(soon());
  ASSERT_FALSE(item);
  EXPECT_EQ(item.error().reason, "model_loading");
}

TEST_F(SessionServiceTest, StartBeforeHelloEndsTheStream) {
  serve();
  Stream stream = open();
  ASSERT_TRUE(stream.write(start_frame(1)));
  const auto item = stream.read_blocking(soon());
  ASSERT_FALSE(item);
  EXPECT_EQ(item.error().reason, "bad_hello");
}

TEST_F(SessionServiceTest, GatewayThatDoesNotReadIsCutOffAndOthersGoOn) {
  FakeEngine& fake = serve();
  fake.script = std::vector<FakeEngine::Delta>(1000, {"", std::string(100'000, 'x')});
  Stream silent = greet_and_wait_for_credit();
  ASSERT_TRUE(silent.write(start_frame(1)));
  EXPECT_TRUE(eventually([&] { return log.has("session_not_reading"); }, 30s));
  EXPECT_TRUE(eventually([&] { return engine->load().sequences_running == 0; }));
  Stream other = greet();
  const auto item = other.read_blocking(soon());
  ASSERT_TRUE(item && *item);
  EXPECT_GT((*item)->credits_total(), 0u);
}

TEST_F(SessionServiceTest, FinishAllEndsStreamsWell) {
  serve();
  Stream stream = greet();
  ASSERT_TRUE(stream.read_blocking(soon()));
  service.finish_all();
  const auto item = stream.read_blocking(soon());
  ASSERT_TRUE(item) << item.error().to_string();
  EXPECT_FALSE(item->has_value());
}

}  // namespace
}  // namespace tidegate::worker::session_service_test
