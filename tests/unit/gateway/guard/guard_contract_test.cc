// What every guard promises, on the built-in one and on one behind gRPC with the reference server; and what a gateway
// makes of a server that is away, late, busy or of another mind.
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include "base/core/clock.h"
#include "base/rpc/server.h"
#include "gateway/adapters/guard_service.h"
#include "gateway/adapters/pooled_guard.h"
#include "gateway/adapters/remote_guard.h"
#include "gateway/guard/guard_text.h"
#include "tests/support/run_coro.h"
#include "tests/unit/gateway/guard/guard_world.h"

namespace tidegate::gateway::test::guard_contract_test {
namespace {

using enum GuardAction;
using tidegate::test::run_coro;

RuleBook book() {
  return book_of({pii_rule("mail", "email", kMask), rule_of("moon", "moonlight", kMask), rule_of("stop", "forbidden", kDeny),
                  rule_of("seen", "river", kLog)});
}

std::unique_ptr<rpc::RpcServer> serve(grpc::Service& service) {
  rpc::ServerOptions options;
  options.listen = {"127.0.0.1:0"};
  auto started = rpc::RpcServer::start(options, {&service});
  if (!started) throw std::runtime_error(started.error().to_string());
  return *std::move(started);
}

/// A guard and, for the remote one, its server.
struct Served {
  virtual ~Served() = default;
  virtual Guard& guard() = 0;
};
struct Local final : Served {
  Guard& guard() override { return rules; }
  rpc::WorkPool pool{1, 8, "guard"};
  PooledGuard rules{book(), pool};
};
struct Remote final : Served {
  Remote() {
    RemoteGuardOptions options;
    options.address = server->addresses().at(0);
    options.token = "guard-token";
    options.wait_max = std::chrono::seconds(20);
    client = *connect_guard(options, clock);
  }
  ~Remote() override {
    client.reset();
    server.reset();
  }
  Guard& guard() override { return *client; }

  const RuleBook rules = book();
  rpc::WorkPool pool{2, 64, "guard"};
  GuardService service{rules, pool, rpc::AuthGate::required("guard-token")};
  std::unique_ptr<rpc::RpcServer> server = serve(service);
  SystemClock clock;
  std::unique_ptr<Guard> client;
};

class GuardContract : public testing::TestWithParam<bool> {
 protected:
  GuardContract() {
    if (GetParam()) {
      served_ = std::make_unique<Remote>();
    } else {
      served_ = std::make_unique<Local>();
    }
  }
  Result<GuardVerdict> check(const GuardCheck& check) { return run_coro(served_->guard().check(check)); }

  const GuardSubject subject_ = subject_of();
  std::unique_ptr<Served> served_;
};

TEST_P(GuardContract, MasksDeniesAndPasses) {
  for (const auto& [text, read, is_denied] : {std::tuple("by moonlight", "by [moon]", false),
                                              std::tuple("write to li.wei@example.com", "write to [mail]", false),
                                              std::tuple("it is forbidden", "it is ", true),
                                              std::tuple("月光", "月光", false)}) {
    const GuardCheck one{subject_, GuardDirection::kInput, {whole_text(text)}, 512};
    const auto verdict = check(one);
    ASSERT_TRUE(verdict) << verdict.error().to_string();
    EXPECT_TRUE(check_verdict(*verdict, one));
    EXPECT_EQ(decided_text(*verdict, 0, text), read);
    EXPECT_EQ(verdict->denial.has_value(), is_denied);
  }
}

TEST_P(GuardContract, ManyTextsEachHaveTheirOwnVerdict) {
  const GuardCheck three{subject_, GuardDirection::kInput,
                         {whole_text("moonlight"), whole_text(""), whole_text("a river of moonlight")}, 512};
  const auto verdict = check(three);
  ASSERT_TRUE(verdict);
  EXPECT_EQ(decided_text(*verdict, 0, "moonlight"), "[moon]");
  EXPECT_EQ(decided_text(*verdict, 1, ""), "");
  EXPECT_EQ(decided_text(*verdict, 2, "a river of moonlight"), "a river of [moon]");
  EXPECT_EQ(verdict->hits.size(), 2U);
}

TEST_P(GuardContract, ThePieceOfATextThatGoesOnWaitsWhereAMatchMayHaveBegun) {
  GuardText text = whole_text("so far the moon");
  text.origin = 7;
  text.is_last = false;
  const GuardCheck one{subject_, GuardDirection::kOutput, {text}, 512};
  const auto verdict = check(one);
  ASSERT_TRUE(verdict);
  // The word may be the beginning of an address of mail.
  EXPECT_EQ(verdict->decided.at(0), 4U);
}

INSTANTIATE_TEST_SUITE_P(LocalAndRemote, GuardContract, testing::Bool(),
                         [](const auto& which) { return which.param ? "remote" : "local"; });

/// Answers as the test says, on a thread of the pool.
class ScriptedGuard final : public v1::Guard::CallbackService {
 public:
  std::function<Result<v1::GuardVerdict>()> answer;
  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context, const v1::GuardRequest*,
                                  v1::GuardVerdict* response) override {
    return host_.serve(context, response, [this](const rpc::ServerCall&) { return answer(); });
  }
  void stop() { pool_.stop(); }

 private:
  rpc::WorkPool pool_{2, 64, "guard"};
  rpc::UnaryHost host_{pool_, rpc::AuthGate::open()};
};

class RemoteGuardFaults : public testing::Test {
 protected:
  void connect(std::chrono::milliseconds wait_max, std::size_t calls_max = 8) {
    RemoteGuardOptions options;
    options.address = server_->addresses().at(0);
    options.wait_max = wait_max;
    options.calls_max = calls_max;
    guard_ = *connect_guard(options, clock_);
  }
  void TearDown() override {
    guard_.reset();
    server_.reset();
    service_.stop();
  }

  const GuardSubject subject_ = subject_of();
  const GuardCheck check_{subject_, GuardDirection::kInput, {whole_text("hi")}, 512};
  SystemClock clock_;
  ScriptedGuard service_;
  std::unique_ptr<rpc::RpcServer> server_ = serve(service_);
  std::unique_ptr<Guard> guard_;
};

TEST_F(RemoteGuardFaults, AServerThatIsAwayIsUnavailable) {
  connect(std::chrono::seconds(20));
  server_.reset();
  const auto verdict = run_coro(guard_->check(check_));
  ASSERT_FALSE(verdict);
  EXPECT_EQ(verdict.error().code, Code::kUnavailable);
}

TEST_F(RemoteGuardFaults, AServerThatIsLateIsNotWaitedFor) {
  std::promise<void> release;
  const std::shared_future<void> is_released = release.get_future().share();
  // Its own handle of the future: the test may be over before the answer begins.
  service_.answer = [is_released]() -> Result<v1::GuardVerdict> {
    is_released.wait();
    return v1::GuardVerdict();
  };
  connect(std::chrono::milliseconds(100));
  const auto verdict = run_coro(guard_->check(check_));
  ASSERT_FALSE(verdict);
  EXPECT_EQ(verdict.error().code, Code::kDeadlineExceeded);
  release.set_value();
}

TEST_F(RemoteGuardFaults, MoreCallsThanTheBoundFailAtOnce) {
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  service_.answer = [&]() -> Result<v1::GuardVerdict> {
    released.wait();
    v1::GuardVerdict pass;
    pass.set_action(v1::GUARD_ACTION_PASS);
    return pass;
  };
  connect(std::chrono::seconds(20), 1);
  asio::io_context context(1);
  bool has_first = false;
  const auto first = [&]() -> awaitable<void> {
    auto asking = guard_->check(check_);
    const auto verdict = co_await std::move(asking);
    has_first = verdict.has_value();
  };
  asio::co_spawn(context, first(), asio::detached);
  context.poll();
  const auto second = run_coro(guard_->check(check_));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().reason, "guard_busy");
  release.set_value();
  context.run();
  EXPECT_TRUE(has_first);
  EXPECT_TRUE(run_coro(guard_->check(check_))) << "the first one's place is free again";
}

TEST_F(RemoteGuardFaults, AnEmptyVerdictIsBroken) {
  service_.answer = []() -> Result<v1::GuardVerdict> { return v1::GuardVerdict(); };
  connect(std::chrono::seconds(20));
  EXPECT_EQ(run_coro(guard_->check(check_)).error().reason, "bad_verdict");
}

TEST(GuardService, AGatewayWithASmallerWindowIsToldForOutput) {
  const RuleBook rules = book();
  rpc::WorkPool pool(1, 4, "guard");
  GuardService service(rules, pool, rpc::AuthGate::open());
  auto server = serve(service);
  SystemClock clock;
  RemoteGuardOptions options;
  options.address = server->addresses().at(0);
  options.wait_max = std::chrono::seconds(20);
  auto guard = *connect_guard(options, clock);
  const GuardSubject subject = subject_of();
  const GuardCheck check{subject, GuardDirection::kOutput, {whole_text("hi")}, 64};
  const auto refused = run_coro(guard->check(check));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "window_too_small");
  EXPECT_NE(refused.error().message.find("guard.window_bytes"), std::string::npos);
  guard.reset();
  server.reset();
  pool.stop();
}

TEST(GuardService, WithoutTheTokenNothingIsJudged) {
  const RuleBook rules = book();
  rpc::WorkPool pool(1, 4, "guard");
  GuardService service(rules, pool, rpc::AuthGate::required("token"));
  auto server = serve(service);
  SystemClock clock;
  RemoteGuardOptions options;
  options.address = server->addresses().at(0);
  options.wait_max = std::chrono::seconds(20);
  auto guard = *connect_guard(options, clock);
  const GuardSubject subject = subject_of();
  const GuardCheck check{subject, GuardDirection::kInput, {whole_text("hi")}, 512};
  EXPECT_EQ(run_coro(guard->check(check)).error().code, Code::kUnauthenticated);
  guard.reset();
  server.reset();
  pool.stop();
}

}  // namespace
}  // namespace tidegate::gateway::test::guard_contract_test
