#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "base/net/http_client.h"

namespace tidegate {

Result<Url> parse_url(std::string_view text) {
  static constexpr std::string_view kScheme = "http://";
  const auto refuse = [text] {
    return fail(Code::kInvalidArgument, "bad_url",
                "'" + std::string(text.substr(0, 200)) + "' is not a URL such as http://127.0.0.1:8080/v1");
  };
  if (!text.starts_with(kScheme)) return refuse();
  std::string_view rest = text.substr(kScheme.size());
  const auto slash = rest.find_first_of("/?");
  const std::string_view authority = rest.substr(0, slash);
  Url url;
  url.target = slash == std::string_view::npos ? "/" : std::string(rest.substr(slash));
  if (url.target.front() == '?') url.target.insert(0, "/");
  const auto colon = authority.rfind(':');
  const bool has_port = colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos;
  url.host = has_port ? authority.substr(0, colon) : authority;
  url.port = has_port ? authority.substr(colon + 1) : "80";
  if (url.host.size() > 2 && url.host.front() == '[' && url.host.back() == ']') {
    url.host = url.host.substr(1, url.host.size() - 2);
  }
  if (url.host.empty() || url.port.empty() || url.host.find('@') != std::string::npos) return refuse();
  return url;
}

Result<HttpClientResponse> http_fetch(std::string_view text, HttpClientRequest request,
                                      std::chrono::milliseconds timeout, BodySink sink) {
  TG_ASSIGN(Url url, parse_url(text));
  request.target = url.target;
  asio::io_context context(1);
  const Deadline deadline = Deadline::at(std::chrono::steady_clock::now() + timeout);
  Result<HttpClientResponse> answer = fail(Code::kInternal, "no_answer", "the exchange did not run");
  const auto work = [&]() -> awaitable<void> {
    auto client = co_await HttpClient::connect(url.host, url.port, deadline);
    if (!client) {
      answer = fail(std::move(client).error());
      co_return;
    }
    answer = co_await (*client)->request(std::move(request), deadline, std::move(sink));
  };
  asio::co_spawn(context, work(), [](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
  });
  context.run();
  return answer;
}

}  // namespace tidegate
