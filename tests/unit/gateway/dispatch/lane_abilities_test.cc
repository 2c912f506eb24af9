// What a lane makes of workers that can do different things, and of prompts that are only counted.
#include "gateway/dispatch/lane_dispatcher.h"

#include <array>

#include "tests/unit/gateway/dispatch/lane_world.h"

namespace tidegate::gateway::test {
namespace {

TEST_F(LaneDispatcherTest, APromptIsCountedWithoutACredit) {
  const ServingPool pool{"m", "local", "cpu", 4'096};
  const auto count = [&] {
    return std::async(std::launch::async, [&] {
      std::expected<std::int64_t, Refusal> counted = 0;
      const Deadline deadline = Deadline::after(clock_.mono(), std::chrono::seconds(5));
      threads_.run_on(0, [&]() -> awaitable<void> { counted = co_await dispatcher_->count(pool, plan_, deadline); });
      return counted;
    });
  };
  EXPECT_EQ(count().get().error().error.reason, "model_not_ready");
  workers_.push_back(std::make_unique<FakeWorkerService>("w", "m", 0, worker_threads_.executor(0)));
  workers_.back()->can({v1::ABILITY_COUNT});
  workers_.back()->listen("unix:" + dir_.file("w"));
  set_routes({route("w")});
  wait_sessions(1);
  auto counted = count();
  ASSERT_TRUE(eventually([&] { return workers_.back()->counts().size() == 1; }));
  const v1::StartSequence asked = workers_.back()->counts().at(0);
  EXPECT_EQ(asked.messages(0).content(), "hello");
  EXPECT_FALSE(asked.has_sampling());
  v1::WorkerFrame frame;
  auto* event = frame.add_events();
  event->set_sequence(asked.sequence());
  event->set_accepted(true);
  event->mutable_usage()->set_prompt_tokens(9);
  event->set_finish(v1::FINISH_REASON_STOP);
  workers_.back()->send(std::move(frame));
  EXPECT_EQ(counted.get().value(), 9);
  EXPECT_EQ(workers_.back()->started_count(), 0U);

  auto lost = count();
  ASSERT_TRUE(eventually([&] { return workers_.back()->counts().size() == 2; }));
  workers_.back()->break_sessions();
  EXPECT_EQ(lost.get().error().error.reason, "worker_lost");
}

TEST_F(LaneDispatcherTest, WhereAWorkerHasTooManyToCountOneOtherIsAsked) {
  for (const char* id : {"a", "b"}) {
    workers_.push_back(std::make_unique<FakeWorkerService>(id, "m", 0, worker_threads_.executor(0)));
    workers_.back()->can({v1::ABILITY_COUNT});
    workers_.back()->listen("unix:" + dir_.file(id));
  }
  set_routes({route("a"), route("b")});
  wait_sessions(2);
  const ServingPool pool{"m", "local", "cpu", 4'096};
  const auto count = [&] {
    return std::async(std::launch::async, [&] {
      std::expected<std::int64_t, Refusal> counted = 0;
      const Deadline deadline = Deadline::after(clock_.mono(), std::chrono::seconds(10));
      threads_.run_on(0, [&]() -> awaitable<void> { counted = co_await dispatcher_->count(pool, plan_, deadline); });
      return counted;
    });
  };
  std::array<std::size_t, 2> had{};
  // The next prompt of either; which of them it was.
  const auto next_asked = [&] {
    std::size_t which = 2;
    EXPECT_TRUE(eventually([&] {
      for (std::size_t i = 0; i < 2 && which == 2; ++i) {
        if (workers_[i]->counts().size() > had.at(i)) which = i;
      }
      return which < 2;
    }));
    if (which < 2) ++had.at(which);
    return which;
  };
  const auto say = [&](std::size_t which, bool is_full) {
    v1::WorkerFrame frame;
    auto* event = frame.add_events();
    event->set_sequence(workers_.at(which)->counts().back().sequence());
    event->set_finish(is_full ? v1::FINISH_REASON_ERROR : v1::FINISH_REASON_STOP);
    if (is_full) {
      event->set_error_code("resource_exhausted");
      event->set_error_reason("counts_full");
    } else {
      event->mutable_usage()->set_prompt_tokens(9);
    }
    workers_.at(which)->send(std::move(frame));
  };
  auto counted = count();
  const std::size_t first = next_asked();
  ASSERT_LT(first, 2U);
  say(first, true);
  const std::size_t second = next_asked();
  ASSERT_EQ(second, 1 - first);
  say(second, false);
  EXPECT_EQ(counted.get().value(), 9);

  auto refused = count();
  const std::size_t third = next_asked();
  ASSERT_LT(third, 2U);
  say(third, true);
  const std::size_t fourth = next_asked();
  ASSERT_LT(fourth, 2U);
  say(fourth, true);
  const auto refusal = refused.get();
  ASSERT_FALSE(refusal);
  EXPECT_EQ(refusal.error().error.reason, "counts_full") << "and no third";
  EXPECT_EQ(refusal.error().error.code, Code::kResourceExhausted);
}

TEST_F(LaneDispatcherTest, AnOldWorkerIsNotAskedToCount) {
  worker("old", 4);
  set_routes({route("old")});
  wait_sessions(1);
  const ServingPool pool{"m", "local", "cpu", 4'096};
  std::expected<std::int64_t, Refusal> counted = 0;
  threads_.run_on(0, [&]() -> awaitable<void> { counted = co_await dispatcher_->count(pool, plan_, Deadline::never()); });
  ASSERT_FALSE(counted);
  EXPECT_EQ(counted.error().error.reason, "count_unsupported");
}

TEST_F(LaneDispatcherTest, WhatNoWorkerOfThePoolCanDoIsRefusedByName) {
  worker("old", 4);
  set_routes({route("old")});
  wait_sessions(1);
  plan_.sampling.n = 2;
  std::optional<Refusal> refusal;
  const SequenceRequest request = next_request(1);
  threads_.run_on(0, [&] { refusal = dispatcher_->refuse(request); });
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->error.reason, "unsupported_parameter");
  EXPECT_EQ(refusal->error.field, "n");
  // Also one that came to wait before that was known.
  Ear& ear = new_ear();
  submit(ear);
  EXPECT_TRUE(ear.waits_for("refused:unsupported_parameter "));
  EXPECT_EQ(workers_.front()->started_count(), 0U);
}

TEST_F(LaneDispatcherTest, AmongWorkersThatDifferOneThatCanIsChosen) {
  worker("old", 4);
  workers_.push_back(std::make_unique<FakeWorkerService>("new", "m", 4, worker_threads_.executor(0)));
  workers_.back()->can({v1::ABILITY_CHOICES, v1::ABILITY_PENALTIES});
  workers_.back()->listen("unix:" + dir_.file("new"));
  set_routes({route("old"), route("new")});
  wait_sessions(2);
  plan_.sampling.n = 3;
  for (std::size_t i = 0; i < 3; ++i) submit(new_ear());
  ASSERT_TRUE(eventually([&] { return workers_.back()->started_count() == 3; }));
  EXPECT_EQ(workers_.front()->started_count(), 0U);
  EXPECT_EQ(workers_.back()->started(0).sampling().n(), 3);
}

}  // namespace
}  // namespace tidegate::gateway::test
