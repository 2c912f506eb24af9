#include "gateway/http/http_api.h"

#include <string_view>
#include <utility>

namespace tidegate::gateway {

HttpApi::HttpApi(const Principals& principals, IdSource& ids, const Clock& clock, std::vector<Serving*> lanes,
                 ReceiptArchive* receipts, Balances* balances)
    : openai_(principals, ids, clock, lanes, receipts, balances),
      anthropic_(principals, ids, lanes),
      responses_(principals, ids, std::move(lanes)) {}

awaitable<void> HttpApi::handle(HttpExchange& exchange) {
  const std::string_view path = exchange.request().path;
  if (AnthropicApi::owns(path)) return anthropic_.handle(exchange);
  if (ResponsesApi::owns(path)) return responses_.handle(exchange);
  return openai_.handle(exchange);
}

std::string HttpApi::render_error(const Error& error, int http_status) {
  return OpenAiApi::render_error(error, http_status);
}

}  // namespace tidegate::gateway
