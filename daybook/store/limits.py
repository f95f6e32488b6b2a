"""Limits of AWS, each with its source. No other module writes one of these numbers."""

from typing import Final

# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
BATCH_GET_ITEMS: Final = 100
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
BATCH_WRITE_ITEMS: Final = 25
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
TRANSACTION_ITEMS: Final = 100
# Values of one `IN` (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html).
IN_VALUES: Final = 100
# Bytes of an item, and of a partition key (the same page).
ITEM_BYTES: Final = 400 * 1024
KEY_BYTES: Final = 2048

# Entries of one request (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html).
PUT_EVENTS_ENTRIES: Final = 10
# Messages of one request (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html).
SEND_MESSAGES: Final = 10
# The same for https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
RECEIVE_MESSAGES: Final = 10
# Queries of one request (https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html).
METRIC_QUERIES: Final = 500
