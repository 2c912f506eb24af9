#include "gateway/http/keyed_http.h"

#include <utility>

namespace tidegate::gateway {

std::string_view KeyedHttp::key() const {
  const HttpRequest& http = exchange_.request();
  return http.head.count(kIdempotencyHeader) == 1 ? http.header(kIdempotencyHeader) : std::string_view();
}

std::string KeyedHttp::content() const {
  const HttpRequest& http = exchange_.request();
  std::string text(http.path);
  text += '\n';
  text += http.query;
  text += '\n';
  text += http.body;
  return text;
}

awaitable<Status> KeyedHttp::replay(StoredAnswer answer) {
  if (answer.is_stream) {
    exchange_.begin_stream(answer.status, std::move(answer.content_type), std::move(answer.headers));
    co_return co_await exchange_.end_stream(answer.body);
  }
  HttpResponse response(answer.status, std::move(answer.body), std::move(answer.content_type));
  response.headers = std::move(answer.headers);
  co_return co_await exchange_.respond(std::move(response));
}

}  // namespace tidegate::gateway
