#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <atomic>
#include <future>
#include <thread>

#include "tests/integration/rpc/loopback.h"

namespace tidegate::rpc {
namespace {

using Admin = class v1::FleetAdmin::Stub::async;

class Unary : public Loopback {
 protected:
  void serve_echo() {
    admin_.apply = [this](const v1::Deployment& request, const ServerCall&) -> Result<v1::Deployment> {
      ++runs_;
      return request;
    };
    start();
  }
  Result<v1::Deployment> apply(v1::Deployment request, Deadline deadline = soon_enough()) {
    return admin_client().call_blocking(&Admin::ApplyDeployment, std::move(request), deadline);
  }
  std::atomic<int> runs_ = 0;
};

TEST_F(Unary, AnswerResumesTheCallersThread) {
  serve_echo();
  auto client = admin_client();
  const auto ask = [&]() -> awaitable<std::pair<std::string, bool>> {
    const auto asking = std::this_thread::get_id();
    auto answer = co_await client.call(&Admin::ApplyDeployment, named("blue"), soon_enough());
    co_return std::pair<std::string, bool>(answer ? answer->name() : answer.error().to_string(),
                                           std::this_thread::get_id() == asking);
  };
  const auto [name, same_thread] = test::run_coro(ask());
  EXPECT_EQ(name, "blue");
  EXPECT_TRUE(same_thread);
}

TEST_F(Unary, ManyCallsAtOnceEachGetTheirOwnAnswer) {
  admin_.list = [](ServerCall) -> awaitable<Result<v1::ListWorkersResponse>> { co_return v1::ListWorkersResponse(); };
  asio::io_context server_side(1);
  auto work = asio::make_work_guard(server_side);
  std::thread runner([&] { server_side.run(); });
  admin_.executor = server_side.get_executor();
  start();
  auto client = admin_client();
  asio::io_context context(1);
  int answered = 0;
  constexpr int kCalls = 200;
  for (int i = 0; i < kCalls; ++i) {
    asio::co_spawn(
        context,
        [&]() -> awaitable<void> {
          auto answer = co_await client.call(&Admin::ListWorkers, v1::ListWorkersRequest(), soon_enough());
          if (answer) ++answered;
        },
        asio::detached);
  }
  context.run();
  EXPECT_EQ(answered, kCalls);
  server_->drain(soon_enough());
  work.reset();
  runner.join();
}

TEST_F(Unary, ErrorCrossesTheWireWhole) {
  const Error wanted(Code::kFailedPrecondition, "replicas_too_many", "at most 64 replicas: ask for fewer", "replicas");
  admin_.apply = [&](const v1::Deployment&, const ServerCall&) -> Result<v1::Deployment> { return fail(wanted); };
  start();
  const auto answer = apply(named("blue"));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error(), wanted);
}

TEST_F(Unary, HostileFieldNamesCannotBreakTheMetadata) {
  admin_.apply = [&](const v1::Deployment& request, const ServerCall&) -> Result<v1::Deployment> {
    return fail(Code::kInvalidArgument, "bad_field", "é\r\n\x01", request.name());
  };
  start();
  const auto answer = apply(named("a\r\nx: y\x7f\xc3\xa9" + std::string(5000, 'z')));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().reason, "bad_field");
  EXPECT_EQ(answer.error().field.substr(0, 10), "a??x: y???");
  EXPECT_EQ(answer.error().field.size(), 256U);
}

TEST_F(Unary, DeadlineReachesTheHandlerAndEndsTheCall) {
  std::atomic<bool> saw_deadline = false;
  std::promise<void> release;
  const std::shared_future<void> is_released = release.get_future().share();
  admin_.apply = [&saw_deadline, is_released](const v1::Deployment& request,
                                              const ServerCall& call) -> Result<v1::Deployment> {
    saw_deadline = call.deadline().remaining(std::chrono::steady_clock::now()) < UnaryHost::kDeadlineMax / 2;
    is_released.wait();
    return request;
  };
  start();
  // On a machine that stands still the time may be over before the call is there: then a longer one shows it.
  for (auto span = std::chrono::milliseconds(200); !saw_deadline && span < UnaryHost::kDeadlineMax / 2; span *= 2) {
    const auto answer = apply(named("slow"), within(span));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Code::kDeadlineExceeded);
    EXPECT_EQ(answer.error().reason, "rpc_deadline_exceeded");
  }
  EXPECT_TRUE(saw_deadline);
  release.set_value();
  pool_.stop();
}

TEST_F(Unary, CallWithoutDeadlineStillHasOneInTheHandler) {
  std::atomic<bool> is_bounded = false;
  admin_.apply = [&](const v1::Deployment& request, const ServerCall& call) -> Result<v1::Deployment> {
    is_bounded = call.deadline().remaining(std::chrono::steady_clock::now()) <= UnaryHost::kDeadlineMax;
    return request;
  };
  start();
  EXPECT_TRUE(apply(named("endless"), Deadline::never()));
  EXPECT_TRUE(is_bounded);
}

TEST_F(Unary, AsioCancellationCancelsTheCallAtTheServer) {
  std::atomic<bool> is_running = false;
  std::atomic<bool> was_cancelled = false;
  admin_.apply = [&](const v1::Deployment& request, const ServerCall& call) -> Result<v1::Deployment> {
    is_running = true;
    was_cancelled = test::eventually([&] { return call.is_cancelled(); });
    return request;
  };
  start();
  auto client = admin_client();
  asio::io_context context(1);
  asio::cancellation_signal signal;
  Error error;
  asio::co_spawn(
      context,
      [&]() -> awaitable<void> {
        co_await asio::this_coro::throw_if_cancelled(false);
        auto answer = co_await client.call(&Admin::ApplyDeployment, named("slow"), soon_enough());
        if (!answer) error = answer.error();
      },
      asio::bind_cancellation_slot(signal.slot(), asio::detached));
  while (!is_running) context.run_for(std::chrono::milliseconds(1));
  signal.emit(asio::cancellation_type::terminal);
  context.run();
  EXPECT_EQ(error.code, Code::kCancelled);
  pool_.stop();
  EXPECT_TRUE(was_cancelled);
}

TEST_F(Unary, ChannelEndsItsCallsBeforeItEnds) {
  std::promise<void> started;
  std::promise<void> release;
  const std::shared_future<void> is_released = release.get_future().share();
  // Its own handle of the future: the test may be over before the handler is.
  admin_.apply = [&started, is_released](const v1::Deployment& request, const ServerCall&) -> Result<v1::Deployment> {
    started.set_value();
    is_released.wait();
    return request;
  };
  start();
  auto client = admin_client();
  asio::io_context context(1);
  Error error;
  asio::co_spawn(
      context,
      [&]() -> awaitable<void> {
        auto answer = co_await client.call(&Admin::ApplyDeployment, named("slow"), soon_enough());
        if (!answer) error = answer.error();
      },
      asio::detached);
  context.poll();
  started.get_future().wait();
  EXPECT_EQ(channel_->calls().size(), 1U);
  channel_->shut();
  EXPECT_EQ(channel_->calls().size(), 0U);
  context.run();  // the result was posted before shut() returned
  EXPECT_EQ(error.code, Code::kCancelled);
  const auto late = client.call_blocking(&Admin::ApplyDeployment, named("late"), soon_enough());
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::kCancelled);
  release.set_value();
}

TEST_F(Unary, WithoutTheTokenNoHandlerRuns) {
  serve_echo();
  for (const char* token : {"", "wrong"}) {
    channel_ = connect(token);
    const auto answer = apply(named("blue"));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Code::kUnauthenticated);
    EXPECT_EQ(answer.error().reason, token[0] == '\0' ? "missing_token" : "bad_token");
    EXPECT_EQ(answer.error().field, "authorization");
  }
  EXPECT_EQ(runs_, 0);
}

TEST_F(Unary, FullQueueAnswersBusyAtOnce) {
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  std::atomic<int> running = 0;
  admin_.apply = [&](const v1::Deployment& request, const ServerCall&) -> Result<v1::Deployment> {
    ++running;
    released.wait();
    return request;
  };
  start();
  std::vector<std::future<Result<v1::Deployment>>> taken;  // two run, four wait
  for (int i = 0; i < 6; ++i) {
    taken.push_back(std::async(std::launch::async, [&] { return apply(named("blue")); }));
    if (i < 2) {
      EXPECT_TRUE(test::eventually([&] { return running == i + 1; }));
    }
  }
  ASSERT_TRUE(test::eventually([&] { return pool_.queued() == 4; }));
  const auto refused = apply(named("red"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  EXPECT_EQ(refused.error().reason, "server_busy");
  release.set_value();
  for (auto& call : taken) EXPECT_TRUE(call.get());
}

TEST_F(Unary, MessageOverFourMebibytesIsRefused) {
  serve_echo();
  const auto answer = apply(named(std::string((4 << 20) + 1, 'x')));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kResourceExhausted);
  EXPECT_EQ(runs_, 0);
  EXPECT_TRUE(apply(named(std::string(1 << 20, 'x'))));
}

TEST_F(Unary, UnimplementedMethodSaysSo) {
  serve_echo();
  const auto answer = admin_client().call_blocking(&Admin::ListModels, v1::ListCatalogueRequest(), soon_enough());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().reason, "rpc_unimplemented");
}

}  // namespace
}  // namespace tidegate::rpc
