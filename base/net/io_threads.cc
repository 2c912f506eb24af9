#include "base/net/io_threads.h"

#include <pthread.h>

#include <boost/asio/executor_work_guard.hpp>

#include "base/core/check.h"

namespace tidegate {

struct IoThreads::Lane {
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard{context.get_executor()};
  std::thread thread;
};

IoThreads::IoThreads(std::size_t count, const std::string& name) {
  TG_CHECK(count >= 1);
  lanes_.reserve(count);
  for (std::size_t i = 0; i < count; ++i) lanes_.push_back(std::make_unique<Lane>());
  for (std::size_t i = 0; i < count; ++i) {
    Lane& lane = *lanes_[i];
    lane.thread = std::thread([&lane] { lane.context.run(); });
    // The kernel keeps 15 characters; a name that does not fit is cut, never an error.
    const std::string label = (name.substr(0, 11) + "-" + std::to_string(i)).substr(0, 15);
    pthread_setname_np(lane.thread.native_handle(), label.c_str());
  }
}

IoThreads::~IoThreads() { stop(); }

Executor IoThreads::executor(std::size_t i) const { return lanes_.at(i)->context.get_executor(); }

asio::io_context& IoThreads::context(std::size_t i) { return lanes_.at(i)->context; }

bool IoThreads::is_current(std::size_t i) const { return lanes_.at(i)->context.get_executor().running_in_this_thread(); }

void IoThreads::stop() {
  for (auto& lane : lanes_) {
    lane->guard.reset();
    lane->context.stop();
  }
  for (auto& lane : lanes_) {
    if (lane->thread.joinable()) lane->thread.join();
  }
}

}  // namespace tidegate
