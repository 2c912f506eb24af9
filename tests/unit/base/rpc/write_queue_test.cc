#include "base/rpc/write_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tidegate::rpc {
namespace {

using Queue = WriteQueue<std::string>;

StreamOptions<std::string> bounded(std::size_t queue_max) {
  StreamOptions<std::string> options;
  options.queue_max = queue_max;
  return options;
}

std::vector<std::string> drain(Queue& queue) {
  std::vector<std::string> written = {queue.current()};
  while (queue.next()) written.push_back(queue.current());
  return written;
}

TEST(WriteQueueTest, OneInFlightTheRestInOrder) {
  Queue queue(bounded(8));
  EXPECT_EQ(queue.push("a"), Queue::Push::kStart);
  EXPECT_EQ(queue.push("b"), Queue::Push::kQueued);
  EXPECT_EQ(queue.push("c"), Queue::Push::kQueued);
  EXPECT_EQ(drain(queue), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(queue.is_idle());
  EXPECT_EQ(queue.push("d"), Queue::Push::kStart);
}

TEST(WriteQueueTest, FullDropsTheNewMessageAndNoOther) {
  Queue queue(bounded(1));
  queue.push("a");
  EXPECT_TRUE(queue.has_room());
  queue.push("b");
  EXPECT_FALSE(queue.has_room());
  EXPECT_EQ(queue.push("c"), Queue::Push::kFull);
  EXPECT_EQ(drain(queue), (std::vector<std::string>{"a", "b"}));
}

TEST(WriteQueueTest, MergeTouchesOnlyWhatGrpcHasNotSeen) {
  auto options = bounded(8);
  options.merge = [](std::string& last, std::string& next) {
    last += next;
    return true;
  };
  Queue queue(options);
  queue.push("a");
  EXPECT_EQ(queue.push("b"), Queue::Push::kQueued);  // never into the one in flight
  EXPECT_EQ(queue.push("c"), Queue::Push::kMerged);
  EXPECT_EQ(queue.push("d"), Queue::Push::kMerged);
  EXPECT_EQ(drain(queue), (std::vector<std::string>{"a", "bcd"}));
}

TEST(WriteQueueTest, MergeMayRefuseAndThenTheBoundHolds) {
  auto options = bounded(2);
  options.merge = [](std::string& last, std::string& next) {
    if (last.size() + next.size() > 2) return false;
    last += next;
    return true;
  };
  Queue queue(options);
  for (const char* message : {"a", "b", "c", "d", "e"}) EXPECT_NE(queue.push(message), Queue::Push::kFull);
  EXPECT_EQ(queue.push("f"), Queue::Push::kFull);
  EXPECT_EQ(drain(queue), (std::vector<std::string>{"a", "bc", "de"}));
}

TEST(WriteQueueTest, ClearForgetsWhatWaitsAndKeepsWhatIsInFlight) {
  Queue queue(bounded(8));
  queue.push("a");
  queue.push("b");
  queue.clear();
  EXPECT_FALSE(queue.is_idle());
  EXPECT_EQ(queue.current(), "a");
  EXPECT_FALSE(queue.next());
}

}  // namespace
}  // namespace tidegate::rpc
