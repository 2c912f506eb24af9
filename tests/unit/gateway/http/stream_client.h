#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json/json.h"
#include "base/net/sse.h"
#include "tests/unit/gateway/http/api_harness.h"

namespace tidegate::gateway::test {

/// A client that reads as it goes and can leave.
class StreamClient {
 public:
  StreamClient(ApiHarness& api, const std::string& body, const std::string& path = "/v1/chat/completions") {
    worker_ = std::async(std::launch::async, [this, &api, body, path] {
      HttpClientRequest request("POST", path, body);
      request.headers = {{"Authorization", "Bearer good-key"}};
      const BodySink sink = [this](int, std::string_view bytes) {
        const std::lock_guard lock(mutex_);
        text_ += bytes;
        return !leave_;
      };
      return http_fetch(api.url(path), std::move(request), std::chrono::seconds(10), sink);
    });
  }
  std::string text() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }
  bool saw(const std::string& words) const { return text().find(words) != std::string::npos; }
  /// Closes the connection at the next byte.
  void leave_at_next_byte() {
    const std::lock_guard lock(mutex_);
    leave_ = true;
  }
  Result<HttpClientResponse> wait() { return worker_.get(); }

 private:
  mutable std::mutex mutex_;
  std::string text_;
  bool leave_ = false;
  std::future<Result<HttpClientResponse>> worker_;
};

/// One event of a dialect that names them.
struct NamedEvent {
  std::string name;
  json::value data;
};

/// All of a whole stream. Every event's name is the `type` of its data.
inline std::vector<NamedEvent> named_events_of(const std::string& stream) {
  std::vector<NamedEvent> events;
  sse::Parser parser([&](const sse::Parser::Event& event) {
    NamedEvent one;
    one.name = event.name;
    one.data = json::parse(event.data).value();
    EXPECT_EQ(std::string_view(one.data.at("type").as_string()), one.name);
    events.push_back(std::move(one));
  });
  EXPECT_TRUE(parser.feed(stream));
  return events;
}

/// "a b c"
inline std::string names_of(const std::vector<NamedEvent>& events) {
  std::string names;
  for (const NamedEvent& event : events) {
    if (!names.empty()) names += ' ';
    names += event.name;
  }
  return names;
}

}  // namespace tidegate::gateway::test
